//! Whether the configuration is there and of this CA; templates, modules, the machine.

use certadm_identity::{Configuration, Role, Value};
use certadm_rules::{FileTime, names};

use crate::records::Maker;

use super::certificates::newest_beginning;
use super::question::Question;
use super::verdict::{Check, Component, State};

/// What is known of the kind of CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    /// An enterprise CA: clients find it in a directory, and templates say what it issues.
    Used,
    /// A standalone CA.
    NotUsed,
    Unknown,
}

pub(super) fn directory(question: &Question<'_>, configuration: Option<&Configuration>) -> Directory {
    let value = |name: &str| {
        let configuration = configuration?;
        match configuration.get(configuration.ca_key()?, name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    };
    match (value("CAType"), value("UseDS")) {
        (Some(0 | 1), _) => Directory::Used,
        (Some(3 | 4), _) => Directory::NotUsed,
        (_, Some(uses)) => {
            if uses == 0 {
                Directory::NotUsed
            } else {
                Directory::Used
            }
        }
        _ if question.records.maker() == Maker::Certadm => Directory::NotUsed,
        // Only an enterprise CA issues by templates.
        _ if !question.facts.templates.is_empty() => Directory::Used,
        _ => Directory::Unknown,
    }
}

/// The component `configuration`.
pub(super) fn judge(question: &Question<'_>, known: Option<&(Configuration, (String, String))>) -> Component {
    let own = question.newest(Role::CaToml);
    let is_ours = question.records.maker() == Maker::Certadm;
    let found = if is_ours { own.as_ref() } else { known.map(|(_, found)| found) };
    let state = if found.is_some() { State::Present } else { State::Absent };
    let mut component = Component::new("configuration", "Configuration", true, state).of(found);
    if state == State::Absent {
        let (what, remedy) = match is_ours {
            true => ("ca.toml is not there", "certadm attach SET --dir DIR with the CA's folder"),
            false => (
                "the registry key CertSvc\\Configuration is not there",
                "certadm identity --server CA; or on the CA reg export HKLM\\SYSTEM\\CurrentControlSet\\Services\\CertSvc FILE.reg, then certadm attach SET --registry FILE.reg",
            ),
        };
        component.checks.push(Check::bad("is there", what, remedy));
    }
    let Some((configuration, found)) = known else { return component };
    component.checks.extend(name(question, configuration));
    component.checks.extend(place(question, configuration));
    component.checks.extend(age(question, found));
    component
}

fn name(question: &Question<'_>, configuration: &Configuration) -> Option<Check> {
    const NAME: &str = "same CA";
    let said = configuration.text(configuration.ca_key()?, "CommonName")?;
    let names: Vec<String> = question.issuers.iter().filter_map(crate::issuer::Issuer::common_name).collect();
    if names.is_empty() {
        let text = format!("it is of {said}; the name of the CA in the database cannot be read");
        return Some(Check::unknown(NAME, text, "compare it with the subject of the CA's certificate"));
    }
    Some(match names.iter().any(|name| name == said) {
        true => Check::good(NAME, format!("it is of {said}")),
        false => Check::contradiction(
            NAME,
            format!("it is of {said}, the database is of {}", names.join(", ")),
            "take the configuration of this CA",
        ),
    })
}

/// Whether the database was where the configuration says. A restore refuses or misplaces it otherwise.
fn place(question: &Question<'_>, configuration: &Configuration) -> Option<Check> {
    const NAME: &str = "database folder";
    let said = configuration.text("", "DBDirectory")?;
    let original = question.original.as_deref()?;
    let folder = original.rsplit_once('\\').map_or("", |(folder, _)| folder);
    Some(match plain(folder) == plain(said) {
        true => Check::good(NAME, format!("the database was in {said}, as the configuration says")),
        false => Check::unknown(
            NAME,
            format!("the database was in {folder}, the configuration says {said}"),
            "fetch the configuration again: certadm identity",
        ),
    })
}

/// `\\host\C$\x` and `C:\x` are one path.
fn plain(path: &str) -> String {
    let inner =
        path.strip_prefix("\\\\").and_then(|rest| rest.split_once('\\')).map_or(path, |(_, inner)| inner);
    inner.replacen("$\\", ":\\", 1).trim_end_matches('\\').to_lowercase()
}

/// What is older than the CA's newest certificate lacks what was changed with it. What was attached before that was made before it, too;
/// of what was attached later nothing says when it was made.
fn age(question: &Question<'_>, found: &(String, String)) -> Option<Check> {
    const NAME: &str = "age";
    let taken = &found.1;
    let attached = question.age_of_attached(found);
    let renewed = newest_beginning(question).map(FileTime::to_rfc3339);
    // Moments in RFC 3339 and UTC are in the order of their texts.
    if let Some(renewed) = renewed.as_ref().filter(|renewed| taken < *renewed) {
        let (what, remedy) = match attached.is_some() {
            true => {
                ("attached", "fetch it again: certadm identity; or export it again, and certadm attach it")
            }
            false => ("taken", "fetch it again: certadm identity"),
        };
        let text = format!("it was {what} at {taken}, and the CA has a certificate since {renewed}");
        return Some(Check::unknown(NAME, text, remedy));
    }
    let taken_later =
        || Check::good(NAME, format!("it was taken at {taken}, after the CA's newest certificate began"));
    attached.or_else(|| renewed.map(|_| taken_later()))
}

/// The component `templates`.
pub(super) fn templates(question: &Question<'_>, directory: Directory) -> Component {
    let found = question.files(&[Role::Templates]).next_back();
    let needed = directory == Directory::Used;
    let state = match (&found, directory) {
        (Some(_), _) => State::Present,
        (None, Directory::Used) => State::Absent,
        (None, Directory::NotUsed) => State::NotApplicable,
        (None, Directory::Unknown) => State::CannotTell,
    };
    let mut component = Component::new("templates", "Published templates", needed, state);
    let Some(file) = found else {
        if needed {
            let text = format!(
                "{} templates are in use, and the list of published ones is not there",
                question.facts.templates.len()
            );
            component.checks.push(Check::bad("is there", text, "certadm identity --server CA"));
        }
        return component;
    };
    component = component.of(Some(&file.found));
    let json: serde_json::Value = serde_json::from_slice(&file.content).unwrap_or_default();
    let listed = |used: &String| {
        let templates = json["templates"].as_array().into_iter().flatten();
        templates
            .flat_map(|template| [&template["name"], &template["oid"]])
            .any(|text| text.as_str().is_some_and(|text| names::same_ignoring_case(text, used)))
    };
    let missing: Vec<&str> =
        question.facts.templates.iter().filter(|used| !listed(used)).map(String::as_str).collect();
    component.checks.push(match missing.is_empty() {
        true => Check::good("in use", "every template of the last year is in the list"),
        false => Check::unknown(
            "in use",
            format!(
                "the CA issued by {} in the last year, and does not publish it any more",
                missing.join(", ")
            ),
            "none, if it was taken back on purpose",
        ),
    });
    component
}

/// The component `modules`: what was built for this CA alone.
pub(super) fn modules(question: &Question<'_>, configuration: Option<&Configuration>) -> Component {
    let component =
        |state| Component::new("modules", "Policy and exit modules, tasks, web pages", false, state);
    if question.records.maker() == Maker::Certadm {
        return component(State::NotApplicable);
    }
    let foreign: Vec<String> = configuration.into_iter().flat_map(own_modules).collect();
    match foreign.is_empty() {
        true => component(State::CannotTell),
        false => component(State::CannotTell).with([Check::unknown(
            "modules",
            format!("the CA uses {}", foreign.join(", ")),
            "keep the installation of it, and note where: certadm attach SET --note",
        )]),
    }
}

fn own_modules(configuration: &Configuration) -> Vec<String> {
    let Some(own) = configuration.ca_key() else { return Vec::new() };
    let mut found = Vec::new();
    for node in ["PolicyModules", "ExitModules"] {
        match configuration.get(&format!("{own}\\{node}"), "Active") {
            Some(Value::Text(module)) => found.push(module.clone()),
            Some(Value::List(modules)) => found.extend(modules.iter().cloned()),
            _ => {}
        }
    }
    found.retain(|module| !module.is_empty() && !module.starts_with("CertificateAuthority_MicrosoftDefault"));
    found
}

/// The component `host`.
pub(super) fn host(question: &Question<'_>, known: Option<&(Configuration, (String, String))>) -> Component {
    let said = known.and_then(|(configuration, found)| {
        Some((configuration.text(configuration.ca_key()?, "CAServerName")?.to_owned(), found.1.clone()))
    });
    let map = question.original.as_deref().and_then(certadm_rules::unc::host_of).map(str::to_owned);
    let state = if said.is_some() || map.is_some() { State::Present } else { State::CannotTell };
    let mut component = Component::new("host", "Name of the machine, paths", false, state);
    component.source = said.as_ref().map(|(host, _)| host.clone()).or(map);
    component.taken = said.map(|(_, taken)| taken);
    component
}
