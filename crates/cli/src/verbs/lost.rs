//! The database of a CA that may be lost, whichever kind it is, with what stands beside it.

use std::path::{Path, PathBuf};

use certadm_identity::{Part, Role, found_at, newest_last};
use certadm_recovery::complete::{Facts, Question, Verdict};
use certadm_recovery::{Damage, Issuers, PrivateKey, Records};
use certadm_rules::FileTime;
use certadm_set::scratch::Recovered;
use certadm_set::windows::open_database;
use certadm_set::{Opened, Set};

use crate::failure::Failure;
use crate::output::Output;

/// What a database says of its CA.
pub(crate) struct Lost {
    pub(crate) records: Records,
    pub(crate) issuers: Issuers,
    pub(crate) facts: Facts,
    /// Where it was at the CA, as the restore map says.
    pub(crate) original: Option<String>,
    /// Its signature in hexadecimal; empty where it is not known.
    pub(crate) signature: String,
}

impl Lost {
    /// Reads the database that these sets give. Its bytes are not compared with a manifest: that is `verify`'s.
    ///
    /// # Errors
    /// As [`certadm_set::open`]; those of a database that cannot be read, or is that of no CA.
    pub(crate) fn read(opened: &Opened, now: FileTime, output: Output) -> Result<Self, Failure> {
        let mut progress = output.progress_on_stderr();
        let (records, facts, locations, set) = match opened {
            Opened::Ours(sets) => {
                let recovered = Recovered::of(sets)?;
                let records = Records::of_ours(recovered.connection(), now, [].into())?;
                let first = sets.first();
                (records, Facts::default(), first.map(Set::locations).transpose()?.flatten(), first)
            }
            Opened::Windows(sets) => {
                let database = open_database(sets, &mut progress)?.database;
                let records = Records::of_windows(&database, now, [].into(), Damage::Refused)?;
                let facts = Facts::of_windows(&database, now)?;
                let first = sets.first();
                let locations = match first {
                    Some(set) => set.read_locations()?,
                    None => None,
                };
                (records, facts, locations, first.and_then(|set| set.complete.as_ref()))
            }
            Opened::Folder(folder) => {
                let text =
                    format!("{} is the folder of a CA that is here, and no set", folder.path().display());
                return Err(Failure::usage(text, "name a set of it: certadm backup --dir DIR --to SET"));
            }
        };
        let manifest = set.and_then(|set| set.manifest.as_ref());
        Ok(Self {
            issuers: Issuers::of(&records)?,
            records,
            facts,
            original: locations.as_ref().and_then(|list| list.database()).map(str::to_owned),
            signature: manifest.map(|manifest| manifest.ca.database_signature.clone()).unwrap_or_default(),
        })
    }

    /// The verdict on it and on what stands beside it.
    pub(crate) fn judge(
        &self,
        source: &Path,
        parts: &[Part],
        keys: &[(PathBuf, PrivateKey)],
        now: FileTime,
    ) -> Verdict {
        Verdict::on(&Question {
            records: &self.records,
            issuers: &self.issuers,
            facts: &self.facts,
            source: source.display().to_string(),
            original: self.original.clone(),
            parts,
            keys,
            now,
        })
    }
}

/// The identity parts at these paths, the newest last.
///
/// # Errors
/// Those of one that cannot be used: it may hold what nothing else does.
pub(crate) fn parts_at<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    for dir in paths.into_iter().flat_map(|path| found_at(path)) {
        parts.push(Part::open(&dir)?);
    }
    let now = certadm_store::now();
    parts.sort_by(|one, other| {
        let [one, other] = [one, other].map(|part| part.manifest.taken.as_deref().unwrap_or_default());
        newest_last(one, now).cmp(&newest_last(other, now))
    });
    Ok(parts)
}

/// The keys that the CA certificates in identity parts show, where there is no database.
pub(crate) fn issuers_beside(parts: &[Part]) -> Result<Option<Issuers>, Failure> {
    let mut certificates = Vec::new();
    for part in parts {
        for entry in part.manifest.of_role(Role::CaCertificate) {
            certificates.push(part.read(entry)?);
        }
    }
    match certificates.is_empty() {
        true => Ok(None),
        false => Ok(Some(Issuers::of_certificates(&certificates)?)),
    }
}
