//! What a verdict is made from: a database, the identity parts beside it, keys that are at hand.

use std::path::{Path, PathBuf};

use certadm_identity::{Configuration, FileEntry, Origin, Part, Role, newest_last, registry};
use certadm_rules::{FileTime, hex};
use sha2::{Digest, Sha256};

use crate::issuer::Issuers;
use crate::published::PublishedCrl;
use crate::records::Records;
use crate::signature::{PrivateKey, PublicKey};

use super::facts::Facts;
use super::verdict::Check;

/// What is known of a CA.
#[derive(Debug)]
pub struct Question<'a> {
    /// Its database.
    pub records: &'a Records,
    /// The keys that its certificates show.
    pub issuers: &'a Issuers,
    /// What else its database says.
    pub facts: &'a Facts,
    /// Where the database is.
    pub source: String,
    /// Where the database was at the CA, as its restore map says.
    pub original: Option<String>,
    /// The identity parts, the newest last.
    pub parts: &'a [Part],
    /// Keys that were given.
    pub keys: &'a [(PathBuf, PrivateKey)],
    /// The moment for which the verdict is made.
    pub now: FileTime,
}

/// A file beside the database: where, since when, and its bytes.
pub(super) struct Beside {
    pub(super) found: (String, String),
    pub(super) content: Vec<u8>,
}

impl Question<'_> {
    /// The newest file of a role, whatever is in it.
    pub(super) fn newest(&self, role: Role) -> Option<(String, String)> {
        let files =
            self.parts.iter().flat_map(|part| part.manifest.of_role(role).map(move |entry| (part, entry)));
        files
            .max_by(|(_, one), (_, other)| {
                newest_last(&one.taken, self.now).cmp(&newest_last(&other.taken, self.now))
            })
            .map(|(part, entry)| place(part, entry))
    }

    /// What can be said of the age of a file that somebody attached: when that was, and nothing of when it was made.
    pub(super) fn age_of_attached(&self, found: &(String, String)) -> Option<Check> {
        let all =
            self.parts.iter().flat_map(|part| part.manifest.files.iter().map(move |entry| (part, entry)));
        let mut attached = all.filter(|(_, entry)| entry.origin == Origin::Attached);
        attached.any(|(part, entry)| place(part, entry) == *found).then(|| Check {
            ok: None,
            remedy: None,
            ..Check::good("age", format!("it was attached at {}; nothing says when it was made", found.1))
        })
    }

    /// Every file of these roles that can be read, the newest last. Each is read when it is asked for: together they may be
    /// more than the memory holds.
    pub(super) fn files(&self, roles: &[Role]) -> impl DoubleEndedIterator<Item = Beside> {
        let files =
            self.parts.iter().flat_map(|part| part.manifest.files.iter().map(move |entry| (part, entry)));
        let mut files: Vec<_> = files.filter(|(_, entry)| roles.contains(&entry.role)).collect();
        files.sort_by(|(_, one), (_, other)| {
            newest_last(&one.taken, self.now).cmp(&newest_last(&other.taken, self.now))
        });
        let read = |(part, entry): (&Part, &FileEntry)| {
            part.read(entry).ok().map(|content| Beside { found: place(part, entry), content })
        };
        files.into_iter().filter_map(read)
    }

    /// The newest configuration, fetched or exported.
    pub(super) fn configuration(&self) -> Option<(Configuration, (String, String))> {
        for file in self.files(&[Role::Configuration, Role::Registry]).rev() {
            let read = match serde_json::from_slice(&file.content) {
                Ok(json) => Configuration::of_json(&json),
                Err(_) => registry::parse(&file.content).ok().map(|found| registry::of_certsvc(&found)),
            };
            if let Some(configuration) = read.filter(|configuration| !configuration.is_empty()) {
                return Some((configuration, file.found));
            }
        }
        None
    }

    /// CRLs of the database and beside it.
    pub(super) fn crls(&self) -> Vec<PublishedCrl> {
        let rows = self.records.crls().iter().filter_map(|row| row.raw.as_deref());
        let rows = rows.filter_map(|der| PublishedCrl::parse("the database", der).ok());
        let files = self.files(&[Role::BaseCrl, Role::DeltaCrl, Role::Crl]);
        let files = files.filter_map(|file| PublishedCrl::parse(&file.found.0, &file.content).ok());
        rows.chain(files).collect()
    }
}

/// The hash by which a public key is known in an identity part.
#[must_use]
pub fn hash_of_key(key: &PublicKey) -> String {
    hex::encode(&Sha256::digest(key.to_der()))
}

fn place(part: &Part, entry: &FileEntry) -> (String, String) {
    let path = part.dir().join(Path::new(&entry.path));
    (path.display().to_string(), entry.taken.clone())
}
