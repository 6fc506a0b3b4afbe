//! `certadm attach`: what nobody can fetch is put beside a set, after it was checked.

mod args;
mod keys;
#[cfg(feature = "repository")]
mod stored;

use std::path::{Path, PathBuf};

use certadm_ca::identity::Identity;
use certadm_ca::{Recognised, own_certificate_in};
use certadm_files::read;
use certadm_identity::{Added, Attachments, FileEntry, MAX_FILE, Role, registry};
use certadm_recovery::gap::{DirectoryObjects, EventLog};
use certadm_recovery::{Issuers, PublishedCrl};
use certadm_rules::diagnosis::Class;
use certadm_rules::finding::{self, Finding, Kind, Severity};
use certadm_rules::{Hresult, pem};
use certadm_store::Folder;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::verbs::lost::{Lost, issuers_beside, parts_at};
use crate::{findings, interrupt};
pub(crate) use args::AttachArgs;

pub(crate) fn run(args: &AttachArgs, output: Output) -> Result<Done, Failure> {
    interrupt::watch();
    #[cfg(feature = "repository")]
    if let Some(address) = crate::verbs::places::address(&args.set)? {
        let stored = stored::Stored::fetch(args, &address, output)?;
        return attach(args, stored.sets(), output, || stored.store().map(Some));
    }
    attach(args, std::slice::from_ref(&args.set), output, || Ok(None))
}

/// Attaches to the first of `sets`; the others continue it. `store` puts what was written where it belongs, and returns how that is
/// called, where it is not the folder of the set.
fn attach(
    args: &AttachArgs,
    set: &[PathBuf],
    output: Output,
    store: impl FnOnce() -> Result<Option<PathBuf>, Failure>,
) -> Result<Done, Failure> {
    let target = set.first().unwrap_or(&args.set);
    let now = certadm_store::now();
    let parts = parts_at(set)?;
    let is_part = parts.iter().any(|part| part.dir() == target);
    // What is neither is told before anything is asked for or read.
    let opened = if is_part { None } else { Some(certadm_set::open(set)?) };
    if let Some(certadm_set::Opened::Folder(_)) = &opened {
        let text = format!(
            "{} is the folder of a CA, and no set: what is put there is in no backup",
            target.display()
        );
        return Err(Failure::usage(text, "name a set of it, or the folder of `certadm identity`"));
    }
    match (args.allowed.read()?, &opened) {
        (Some(allowed), Some(opened)) => {
            allowed.check_files(opened, &mut output.progress_on_stderr())?;
        }
        (Some(_), None) => {
            let text = format!("{} is no set, and no signature speaks for it", args.set.display());
            return Err(Failure::usage(
                text,
                "name the set that it belongs to, or leave --allowed-signers out",
            ));
        }
        (None, _) => {}
    }
    let wants_check = !args.key.is_empty() || !args.crl.is_empty() || args.dir.is_some();
    let lost = match (&opened, wants_check) {
        (Some(opened), true) => Some(Lost::read(opened, now, output)),
        _ => None,
    };
    let (issuers, signature) = match lost {
        Some(Ok(lost)) => (Some(lost.issuers), lost.signature),
        // Logs alone have no certificate of their CA; what was fetched with them has.
        Some(Err(failure)) => (Some(issuers_beside(&parts)?.ok_or(failure)?), String::new()),
        None => (issuers_beside(&parts)?, String::new()),
    };
    let mut found = Vec::new();
    let mut attachments = Attachments::default();
    files(args, issuers.as_ref(), &mut attachments, &mut found)?;
    let issuers = issuers.as_ref();
    let is_ours = matches!(opened, Some(certadm_set::Opened::Ours(_)));
    keys::attach(args, issuers, is_ours, now, &mut attachments, &mut found)?;
    attachments.external_keys.clone_from(&args.external_key);
    attachments.notes.clone_from(&args.note);
    // A key that was checked is kept as it came, encrypted. Behind another option it would be kept without a look.
    if let Some((source, content)) =
        attachments.contents().find(|(_, content)| Recognised::holds_key(content))
    {
        return Err(keys::in_clear(Path::new(source), Recognised::of(content)));
    }
    if attachments.is_empty() {
        let remedy = "name something: --key, --dir, --registry, --ldif, --events, --crl, --note";
        return Err(Failure::usage("there is nothing to attach", remedy));
    }
    let added = attachments.attach(target, &signature, now)?;
    for damaged in &added.damaged {
        let text = "it does not give the bytes that were stored: what is attached now is in another file, and this one stays as it is";
        let note = Finding::note(Kind::FileChanged, text).in_file(added.part.dir().join(damaged));
        found.push(note.remedy("remove this file, and attach once more: then it is written anew"));
    }
    let stored = store()?;
    finding::sort(&mut found);
    findings::print(&found, output);
    let result = tell(&added, stored.as_deref(), &found, output);
    let exit = if finding::worst(&found) > Some(Severity::Note) { Exit::Finding } else { Exit::Good };
    Ok(Done { exit, result })
}

fn tell(added: &Added, stored: Option<&Path>, found: &[Finding], output: Output) -> Value {
    let part = &added.part;
    let dir = stored.map_or_else(|| part.dir().to_owned(), |set| set.join(certadm_identity::DIR));
    let of = |paths: &[String]| {
        let entries = part.manifest.files.iter().filter(|entry| paths.contains(&entry.path));
        entries.cloned().collect::<Vec<_>>()
    };
    let (new, renewed) = (of(&added.new), of(&added.renewed));
    for entry in &new {
        output.line(format!("{} is in {}.", entry.source, dir.join(&entry.path).display()));
    }
    for entry in &renewed {
        let path = dir.join(&entry.path);
        output.line(format!(
            "{} was in {} already, byte for byte; it counts as attached now.",
            entry.source,
            path.display()
        ));
    }
    let list = |entries: &[FileEntry]| {
        let entries = entries.iter().map(|entry| {
            json!({
                "path": entry.path, "role": entry.role, "source": entry.source, "bytes": entry.size,
            })
        });
        entries.collect::<Vec<_>>()
    };
    for key in &part.manifest.keys {
        let kept = match (&key.kept, &key.place) {
            (Some(path), _) => format!("kept in {path}"),
            (None, Some(place)) => format!("not kept; it is in {place}"),
            (None, None) => "not kept, and nobody said where it is (--place)".to_owned(),
        };
        output.line(format!(
            "Key {} fits and signs; it was checked at {} and is {kept}.",
            key.key_identifier, key.seen
        ));
    }
    json!({
        "dir": path_text(&dir),
        "stored": stored.map(path_text),
        "files": list(&new),
        "renewed": list(&renewed),
        "keys": part.manifest.keys.iter().map(|key| json!({
            "key_identifier": key.key_identifier, "seen": key.seen, "place": key.place, "kept": key.kept,
        })).collect::<Vec<_>>(),
        "external_keys": part.manifest.external_keys.iter().map(|note| &note.text).collect::<Vec<_>>(),
        "notes": part.manifest.notes.iter().map(|note| &note.text).collect::<Vec<_>>(),
        "findings": findings::list(found),
    })
}

/// Reads the files, and refuses those that are not what they should be. One that is, and tells nothing, is a finding.
fn files(
    args: &AttachArgs,
    issuers: Option<&Issuers>,
    attachments: &mut Attachments,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    for path in &args.registry {
        let content = read::bounded(path, registry::MAX_FILE)?;
        let file = registry::parse(&content).map_err(|reason| unusable(path, &reason))?;
        if registry::of_certsvc(&file).is_empty() {
            return Err(unusable(path, "it has no value below CertSvc\\Configuration"));
        }
        attachments.keep(Role::Registry, path, content);
    }
    for path in &args.crl {
        let content = read::bounded(path, certadm_recovery::bundle::MAX_CRL)?;
        let crl = PublishedCrl::parse(&path.display().to_string(), &content)?;
        if let Some(issuers) = issuers {
            crl.check_issuer(issuers)?;
        }
        attachments.keep(Role::Crl, path, content);
    }
    for path in &args.certificate {
        let content = read::bounded(path, MAX_CERTIFICATES)?;
        let name = path.display().to_string();
        if let Some(error) = certadm_ca::Error::of_wrong_kind(&name, &content, Recognised::Certificate) {
            return Err(error.into());
        }
        for der in certificates_in(path, &content)? {
            Identity::of_certificate(&der, &path.display().to_string())?;
        }
        attachments.keep(Role::Certificate, path, content);
    }
    let read = args.capolicy.iter().map(|path| (Role::CaPolicy, path));
    let read = read.chain(args.ldif.iter().map(|path| (Role::Ldif, path)));
    for (role, path) in read.chain(args.events.iter().map(|path| (Role::Events, path))) {
        let content = read::bounded(path, MAX_FILE)?;
        // A key is refused as such.
        if let Some(reason) = nothing_in(role, &content).filter(|_| !Recognised::holds_key(&content)) {
            return Err(unusable(path, reason));
        }
        if role == Role::Events && EventLog::of(&content) == EventLog::Empty {
            let text = "it is an event log without an event";
            let remedy = "look whether its filter is right, where events were expected";
            found.push(Finding::warning(Kind::SourceSilent, text).remedy(remedy).in_file(path));
        }
        attachments.keep(role, path, content);
    }
    for path in &args.file {
        attachments.file(Role::Other, path)?;
    }
    let Some(dir) = &args.dir else { return Ok(()) };
    let folder = Folder::new(dir);
    let certificate = read_own(&folder, &folder.certificate_path())?;
    if let Some(issuers) = issuers {
        let path = folder.certificate_path().display().to_string();
        let own = own_certificate_in(&certificate, &path)?.der;
        for own in Issuers::of_certificates(&[own])?.iter() {
            issuers.place_of_key(own.public_key(), &path)?;
        }
    }
    attachments.keep(Role::CaCrt, &folder.certificate_path(), certificate);
    attachments.keep(Role::CaToml, &folder.config_path(), read_own(&folder, &folder.config_path())?);
    if args.users {
        let users = dir.join("users.toml");
        attachments.keep(Role::Users, &users, read_own(&folder, &users)?);
    }
    Ok(())
}

/// Why a file is none of its role: what reads it later would find nothing in it, and `complete` would call it present.
fn nothing_in(role: Role, content: &[u8]) -> Option<&'static str> {
    match role {
        Role::Events if EventLog::of(content) == EventLog::None => Some(
            "it is no event log, or no event of a damaged one can be read; export the log as XML (wevtutil qe Security /f:xml /e:Events), or give the .evtx file",
        ),
        Role::Ldif if DirectoryObjects::of(content).entries == 0 => {
            Some("no entry of a directory is in it (dn:); ldifde or ldapsearch write LDIF")
        }
        Role::CaPolicy if !is_policy(content) => Some("it has no section [Version], as CAPolicy.inf must"),
        _ => None,
    }
}

/// Whether text in UTF-8, UTF-16 or a code page has the section that Windows asks for.
fn is_policy(content: &[u8]) -> bool {
    let letters: Vec<u8> = content.iter().copied().filter(|byte| *byte != 0).collect();
    let is_head = |line: &[u8]| {
        let before_remark = line.split(|byte| *byte == b';').next().unwrap_or_default();
        before_remark.trim_ascii().to_ascii_lowercase().ends_with(b"[version]")
    };
    letters.split(|byte| *byte == b'\n').any(is_head)
}

/// Certificates are short; this is room for a long chain.
const MAX_CERTIFICATES: u64 = 1 << 20;

fn read_own(folder: &Folder, path: &Path) -> Result<Vec<u8>, Failure> {
    Ok(folder.own(path).read(MAX_CERTIFICATES)?)
}

fn certificates_in(path: &Path, content: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    if !pem::looks_like_pem(content) {
        return Ok(vec![content.to_vec()]);
    }
    let blocks = pem::blocks(content).map_err(|reason| unusable(path, &reason))?;
    let found: Vec<_> =
        blocks.into_iter().filter(|block| block.label == "CERTIFICATE").map(|block| block.der).collect();
    match found.is_empty() {
        true => Err(unusable(path, "it holds no certificate")),
        false => Ok(found),
    }
}

fn unusable(path: &Path, reason: &str) -> Failure {
    Failure {
        message: format!("{} cannot be used: {reason}", path.display()),
        code: Hresult::ERROR_INVALID_DATA,
        remedy: "name the file that this option is for; --file takes anything".to_owned(),
        exit: Class::Damaged.into(),
        done: None,
        set: None,
    }
}
