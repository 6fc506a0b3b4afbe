//! Whether everything is there that a lost CA needs to come back (recovery.md 2).
//!
//! Each component of recovery.md 1.1 gets a line: whether it is there, from where, since when, and what was checked of it. What
//! the database says by itself counts, so that an old set without an identity part gets a verdict, too.

mod certificates;
mod configuration;
mod crls;
mod facts;
mod keys;
mod question;
mod verdict;

use certadm_identity::Role;
use certadm_rules::words::counted;

use crate::gap::DirectoryObjects;
use crate::records::Maker;
use configuration::Directory;

pub use facts::Facts;
pub use question::{Question, hash_of_key};
pub use verdict::{Check, Component, Conclusion, State, Verdict};

impl Verdict {
    /// Looks at everything that is known.
    #[must_use]
    pub fn on(question: &Question<'_>) -> Self {
        let known = question.configuration();
        let settings = known.as_ref().map(|(configuration, _)| configuration);
        let directory = configuration::directory(question, settings);
        let mut components = vec![database(question), keys::judge(question), certificates::judge(question)];
        components.push(certificates::cross(question));
        components.push(configuration::judge(question, known.as_ref()));
        let is_windows = question.records.maker() == Maker::Windows;
        let windows = if is_windows { State::Absent } else { State::NotApplicable };
        components.push(attached(question, "capolicy", "CAPolicy.inf", Role::CaPolicy, windows));
        components.push(configuration::templates(question, directory));
        let ldif = match directory {
            Directory::Used => State::Absent,
            Directory::NotUsed => State::NotApplicable,
            Directory::Unknown => State::CannotTell,
        };
        components.extend(objects(question, ldif));
        components.push(crls::judge(question));
        components.extend(recovery_agents(question));
        components.push(attached(question, "event-log", "Security event log", Role::Events, windows));
        components.push(configuration::modules(question, settings));
        components.extend(keys::accounts(question));
        components.push(configuration::host(question, known.as_ref()));
        Self::of(components)
    }
}

fn database(question: &Question<'_>) -> Component {
    let rows = question.records.rows();
    let check = match question.records.unreadable {
        0 => Check::good("read", format!("{rows} requests were read")),
        count => Check::bad("read", format!("{count} rows cannot be read"), "run certadm verify on the set"),
    };
    Component::new("database", "Database and logs", true, State::Present)
        .at(question.source.clone())
        .with([check])
}

/// What only a person can hand in.
fn attached(
    question: &Question<'_>,
    id: &'static str,
    name: &'static str,
    role: Role,
    otherwise: State,
) -> Component {
    let found = question.newest(role);
    let state = if found.is_some() { State::Present } else { otherwise };
    let age = found.as_ref().and_then(|found| question.age_of_attached(found));
    Component::new(id, name, false, state).of(found.as_ref()).with(age)
}

/// The CA's objects in the directory, and the definitions of its templates: an LDIF file may have one, both or neither.
fn objects(question: &Question<'_>, otherwise: State) -> [Component; 2] {
    type Count = fn(&DirectoryObjects) -> u64;
    let kinds: [(&str, &str, &str, Count); 2] = [
        ("template-definitions", "Template definitions (LDIF)", "template", |found| found.templates),
        ("directory", "Objects in the directory (LDIF)", "object below Public Key Services", |found| {
            found.services
        }),
    ];
    let mut newest = [None, None];
    let mut is_any = false;
    for file in question.files(&[Role::Ldif]) {
        is_any = true;
        let there = DirectoryObjects::of(&file.content);
        for (place, (.., count)) in kinds.iter().enumerate() {
            if count(&there) != 0 {
                newest[place] = Some((file.found.clone(), count(&there)));
            }
        }
    }
    let mut newest = newest.into_iter();
    kinds.map(|(id, name, what, _)| match newest.next().flatten() {
        Some((found, count)) => {
            let read = Check::good("read", format!("it has {}", counted(count, what)));
            let checks = [Some(read), question.age_of_attached(&found)];
            Component::new(id, name, false, State::Present).of(Some(&found)).with(checks.into_iter().flatten())
        }
        None => Component::new(id, name, false, otherwise).with(is_any.then(|| {
            let text = format!("the LDIF beside the database has no {what}");
            Check::unknown("read", text, "export CN=Public Key Services of the configuration with ldifde, then certadm attach SET --ldif FILE")
        })),
    })
}

/// The certificates of key recovery agents, and their private keys, which are nowhere near the CA.
fn recovery_agents(question: &Question<'_>) -> [Component; 2] {
    let found = question.newest(Role::KraCertificate);
    let archives = question.facts.archives_keys || found.is_some();
    let certificates = match (&found, archives) {
        (Some(_), _) => State::Present,
        (None, true) => State::Absent,
        (None, false) => State::NotApplicable,
    };
    let keys = if archives { State::CannotTell } else { State::NotApplicable };
    let mut kra_keys = Component::new("kra-keys", "Private keys of key recovery agents", false, keys);
    if archives {
        kra_keys.checks.push(Check::unknown(
            "are there",
            "archived keys can be opened with them alone, and the CA does not have them",
            "make sure that each agent has his key, and note where: certadm attach SET --note",
        ));
    }
    [
        Component::new("kra-certificates", "Certificates of key recovery agents", archives, certificates)
            .of(found.as_ref()),
        kra_keys,
    ]
}
