//! What an emergency CRL is made from: published CRLs, lists of revocations, and a database that was checked.

use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use certadm_ca::{Reason, Serial};
use certadm_ese::Database;
use certadm_ese::overlay::Overlay;
use certadm_ese::pager::FilePager;
use certadm_files::IoContext;
use certadm_recovery::bundle::{MAX_CRL, REPORT, REVOCATIONS};
use certadm_recovery::{Damage, Origin, PublishedCrl, Revocation, merged, recognised};
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::{FileTime, Hresult};
use certadm_set::scratch::Recovered;
use certadm_set::signing::AllowedSigners;
use certadm_set::verify::verify_until;
use certadm_set::windows::{open_database, salvage_database};
use certadm_set::{Cut, Opened};
use serde_json::{Value, json};

use super::args::EmergencyCrlArgs;
use crate::failure::Failure;
use crate::output::{Output, path_text};
use crate::verbs::files::read_input;
use crate::verbs::state;

/// A list of the revocations that a CRL may have.
const MAX_LIST: u64 = MAX_CRL;

/// What was handed in beside the database.
pub(super) struct Sources {
    pub(super) published: Vec<PublishedCrl>,
    pub(super) revocations: Vec<Revocation>,
    pub(super) findings: Vec<Finding>,
    /// What is left out of the sets, where an earlier state was asked for.
    pub(super) cut: Option<Cut>,
    /// For `report.json`: each file with its hash.
    pub(super) list: Vec<Value>,
}

impl Sources {
    pub(super) fn read(args: &EmergencyCrlArgs, now: FileTime) -> Result<Self, Failure> {
        let mut sources = Self {
            published: Vec::new(),
            revocations: Vec::new(),
            findings: Vec::new(),
            cut: None,
            list: Vec::new(),
        };
        let mut revocations = Vec::new();
        for path in args.from_crl.iter().chain(&args.published) {
            if path.is_dir() {
                revocations.extend(sources.folder(path, now)?);
            } else {
                sources.crl(path, false)?;
            }
        }
        sources.recognise_copies();
        if let Some(path) = &args.revoke_file {
            let text = sources.text(path, "revocations")?;
            revocations.extend(Revocation::parse_csv(&text, now, &mut sources.findings)?);
        }
        for text in &args.revoke {
            revocations.push(Revocation::parse(text, now)?);
        }
        let ends: BTreeSet<Serial> = revocations
            .iter()
            .filter(|order| order.reason == Reason::REMOVE_FROM_CRL)
            .map(|order| order.serial.clone())
            .collect();
        sources.revocations = merged(revocations);
        for order in sources.revocations.iter().filter(|order| order.is_final()) {
            if ends.contains(&order.serial) {
                let text = format!("{} stays revoked: only a hold can be taken back", order.serial);
                sources.findings.push(Finding::warning(Kind::CrlOrder, text));
            }
        }
        sources.list.extend(
            args.sets.iter().map(|set| json!({ "kind": "set", "path": path_text(set), "blake3": null })),
        );
        if args.no_published {
            let text = "no published CRL was given: revocations that the CA made after the backup are not in the CRL";
            sources.findings.push(Finding::warning(Kind::CrlNotCompared, text));
        }
        Ok(sources)
    }

    /// A folder of CRLs that the CA published, such as `CertEnroll`; or that of an earlier emergency CRL, as the files tell that are
    /// always in one: then also the revocations that the CA still does not know of.
    fn folder(&mut self, folder: &Path, now: FileTime) -> Result<Vec<Revocation>, Failure> {
        let mut crls = Vec::new();
        for entry in std::fs::read_dir(folder).during("list", folder)? {
            let path = entry.during("list", folder)?.path();
            let is_crl = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("crl"));
            if is_crl && path.is_file() {
                crls.push(path);
            }
        }
        if crls.is_empty() {
            let text = format!("{} holds no CRL", folder.display());
            return Err(Failure::usage(text, "name a CRL, or the folder of an earlier emergency CRL"));
        }
        crls.sort();
        let is_of_emergency =
            [REPORT, REVOCATIONS].iter().any(|name| folder.join(name).symlink_metadata().is_ok());
        for path in crls {
            self.crl(&path, is_of_emergency)?;
        }
        let list = folder.join(REVOCATIONS);
        if !list.is_file() {
            return Ok(Vec::new());
        }
        let text = self.text(&list, "revocations")?;
        let broken = |reason| certadm_recovery::Error::Folder { path: list.clone(), reason };
        let mut revocations = Revocation::parse_json(&text, now, &mut self.findings).map_err(broken)?;
        // What the CA itself published stands in the CRL of the folder, and is judged with it.
        revocations.retain(|revocation| revocation.origin == Origin::Order);
        Ok(revocations)
    }

    fn crl(&mut self, path: &Path, is_of_emergency: bool) -> Result<(), Failure> {
        let content = read_input(path, MAX_CRL)?;
        self.listed(path, "published CRL", &content);
        let mut crl = PublishedCrl::parse(&path.display().to_string(), &content)?;
        let name = path.file_name().unwrap_or_default();
        let report = certadm_files::Found::below(path.parent().unwrap_or(Path::new("")), REPORT);
        if report.is_there() {
            crl = recognised(crl, &name.to_string_lossy(), BufReader::new(report.open_up_to(None)?));
        }
        if is_of_emergency && crl.emergency().is_none() {
            // Nothing says with what it was compared.
            crl = crl.of_emergency(None);
        }
        self.published.push(crl);
        Ok(())
    }

    /// The CRL of a folder may be given once more, as it was fetched from where it was published.
    fn recognise_copies(&mut self) {
        for place in 0..self.published.len() {
            let crl = &self.published[place];
            let original =
                self.published.iter().find(|other| other.emergency().is_some() && other.der == crl.der);
            if let Some(compared) = original.and_then(PublishedCrl::emergency) {
                self.published[place] = crl.clone().of_emergency(compared);
            }
        }
    }

    fn text(&mut self, path: &Path, kind: &str) -> Result<String, Failure> {
        let content = read_input(path, MAX_LIST)?;
        self.listed(path, kind, &content);
        String::from_utf8(content).map_err(|_| {
            Failure::usage(format!("{} is no text in UTF-8", path.display()), "write it as UTF-8 text")
        })
    }

    fn listed(&mut self, path: &Path, kind: &str, content: &[u8]) {
        let hash = blake3::hash(content).to_hex().to_string();
        self.list.push(json!({ "kind": kind, "path": path_text(path), "blake3": hash }));
    }

    /// Certificates that the database is asked for by their serial numbers.
    pub(super) fn asked(&self) -> Result<BTreeSet<Serial>, Failure> {
        let mut asked: BTreeSet<Serial> =
            self.revocations.iter().map(|revocation| revocation.serial.clone()).collect();
        for crl in &self.published {
            asked.append(&mut crl.serials()?);
        }
        Ok(asked)
    }
}

/// A database that was found, open for reading.
pub(super) enum Found {
    Windows(Box<WindowsDatabase>),
    Ours(Recovered),
}

/// That of a Windows CA.
pub(super) struct WindowsDatabase {
    pub(super) database: Database<Overlay<FilePager>>,
    pub(super) findings: Vec<Finding>,
}

/// Checks the sets as `certadm verify` does, and opens the database that they give. Damage ends it, or is accepted: then
/// what can be read is, and `found` says what is damaged.
pub(super) fn database(
    args: &EmergencyCrlArgs,
    sets: &[PathBuf],
    damage: Damage,
    allowed: Option<&AllowedSigners>,
    found: &mut Vec<Finding>,
    output: Output,
) -> Result<(Found, Option<Cut>), Failure> {
    for path in sets {
        std::fs::metadata(path).during("look at", path)?;
    }
    let mut progress = output.progress_on_stderr();
    let opened = certadm_set::open(sets)?;
    if let Opened::Folder(folder) = &opened {
        let text = format!("{} is the folder of a CA that is here", folder.path().display());
        let remedy = "publish its CRL with `certadm ca crl`; an emergency CRL is made from a set";
        return Err(Failure::usage(text, remedy));
    }
    if let Some(allowed) = allowed {
        // Before anything of them is read. Their bytes are compared with the manifests by what follows.
        allowed.check(&opened)?;
    }
    let (opened, cut) = args.until.cut(opened, |text| output.line(text))?;
    let report = verify_until(sets, args.until.get(), &mut progress);
    certadm_files::cancel::check()?;
    found.extend(state::accepted(report, damage)?);
    let database = match opened {
        Opened::Ours(sets) => Found::Ours(Recovered::of(&sets)?),
        Opened::Windows(sets) if damage == Damage::Refused => Found::Windows(Box::new(WindowsDatabase {
            database: open_database(&sets, &mut progress)?.database,
            findings: Vec::new(),
        })),
        Opened::Windows(sets) => {
            let salvaged = salvage_database(&sets, &mut progress)?;
            let mut findings = Vec::new();
            if let Some(reason) = &salvaged.not_replayed {
                findings.push(Finding::error(
                    Kind::Replay,
                    Hresult::DATABASE_CORRUPTED,
                    format!(
                        "not all of the logs were replayed ({reason}): revocations in the others are missing from the CRL"
                    ),
                ));
            }
            let skipped = salvaged.database.skipped_pages();
            if skipped != 0 {
                findings.push(Finding::error(
                    Kind::DatabaseUnreadable,
                    Hresult::DATABASE_CORRUPTED,
                    format!(
                        "{skipped} pages in use cannot be read: revocations on them are missing from the CRL"
                    ),
                ));
            }
            Found::Windows(Box::new(WindowsDatabase { database: salvaged.database, findings }))
        }
        // Refused above.
        Opened::Folder(folder) => {
            return Err(Failure::internal(format!("{} is a folder", folder.path().display())));
        }
    };
    Ok((database, cut))
}
