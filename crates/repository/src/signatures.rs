//! Whose keys have signed the sets of a repository, without a copy of them. Each set is read once: what a snapshot's tree holds never
//! changes, so this machine remembers the key by all that the point says. The record is a file of this machine, as in [`crate::lately`].

use std::collections::BTreeMap;

use certadm_files::{durable, read};
use certadm_rules::hex;
use certadm_set::signing::ManifestSignature;

use crate::error::{Error, Result};
use crate::point::Point;
use crate::reader::Reader;
use crate::vault::CaRepository;

/// No record is longer, in bytes: room for some 100,000 sets. A longer one counts as none, and then every set is read again.
const MAX_LEN: u64 = 32 << 20;
/// What a record has in the place of a key for a set without a signature.
const NOT_SIGNED: &str = "-";

/// Who has signed a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedWith {
    /// The key with this fingerprint, `SHA256:...`; whose that is, nobody asked.
    Key(String),
    /// Nobody, or what there is fits nothing: why, a sentence.
    Nobody(String),
    /// It cannot be told, because something of the set is damaged: what, a sentence.
    Untold(String),
}

impl CaRepository {
    /// Who has signed each of these points, in their order. A signature counts that fits the manifest, and only where that is the set which
    /// the snapshot names: whoever has the key can store an old set, whose signature is good, as the state of today.
    ///
    /// # Errors
    /// As [`CaRepository::points`], but for what is damaged.
    pub fn signed_with(&self, points: &[Point]) -> Result<Vec<SignedWith>> {
        let known = self.known_signatures();
        let mut reader = None;
        let mut signed = Vec::new();
        for point in points {
            certadm_files::cancel::check()?;
            let found = match known.get(&facts_of(point)).map(String::as_str) {
                Some(NOT_SIGNED) => not_signed(),
                Some(key) => SignedWith::Key(key.to_owned()),
                None => {
                    if reader.is_none() {
                        reader = Some(told(Reader::open(&self.objects, &self.secret))?);
                    }
                    match &reader {
                        Some(Ok(reader)) => reader.signed_with(point)?,
                        Some(Err(detail)) => SignedWith::Untold(detail.clone()),
                        None => continue,
                    }
                }
            };
            signed.push(found);
        }
        self.remember_signatures(&known, points, &signed);
        Ok(signed)
    }

    /// What was found before, by what points say.
    fn known_signatures(&self) -> BTreeMap<String, String> {
        let Some(file) = &self.signatures else { return BTreeMap::new() };
        let bytes = read::bounded(file, MAX_LEN).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let line = |line: &str| line.rsplit_once(' ').map(|(facts, key)| (facts.to_owned(), key.to_owned()));
        text.lines().filter_map(line).collect()
    }

    /// Remembers what was found of the points that are there. What cannot be remembered is read again.
    fn remember_signatures(&self, known: &BTreeMap<String, String>, points: &[Point], signed: &[SignedWith]) {
        let Some(file) = &self.signatures else { return };
        let entry = |(point, signed): (&Point, &SignedWith)| {
            let key = match signed {
                SignedWith::Key(key) => key.as_str(),
                found if *found == not_signed() => NOT_SIGNED,
                // Why a signature does not fit is said by whoever reads it.
                _ => return None,
            };
            Some((facts_of(point), key.to_owned()))
        };
        let found: BTreeMap<String, String> = points.iter().zip(signed).filter_map(entry).collect();
        if found == *known {
            return;
        }
        let text: String = found.iter().map(|(facts, key)| format!("{facts} {key}\n")).collect();
        let made = file.parent().map_or(Ok(()), durable::create_dir);
        drop(made.and_then(|()| durable::replace_private(file, text.as_bytes())));
    }
}

impl Reader {
    /// Who has signed a set.
    ///
    /// # Errors
    /// [`Error::Storage`].
    fn signed_with(&self, point: &Point) -> Result<SignedWith> {
        let read = self.files(point.tree).and_then(|files| {
            let (manifest, bytes) = self.manifest(&files)?;
            Ok((manifest, bytes, self.signature(&files)?))
        });
        let (manifest, bytes, signature) = match told(read)? {
            Ok(read) => read,
            Err(detail) => return Ok(SignedWith::Untold(detail)),
        };
        if let Some(detail) = point.contradiction(&manifest) {
            return Ok(SignedWith::Nobody(detail));
        }
        let Some(signature) = signature else { return Ok(not_signed()) };
        let checked = ManifestSignature::parse(&signature)
            .and_then(|signature| signature.check(&bytes).map(|()| signature.key()));
        Ok(match checked {
            Ok(key) => SignedWith::Key(key),
            Err(misfit) => SignedWith::Nobody(format!("its signature does not count: {misfit}")),
        })
    }
}

/// What is damaged becomes a sentence.
fn told<T>(read: Result<T>) -> Result<std::result::Result<T, String>> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(Error::Damaged { detail, .. }) => Ok(Err(detail)),
        Err(error) => Err(error),
    }
}

fn not_signed() -> SignedWith {
    SignedWith::Nobody("it has no manifest.json.sig beside its manifest".to_owned())
}

/// All that is compared with the manifest, and where that lies: the same words are of the same signature.
fn facts_of(point: &Point) -> String {
    let Point { id, time, ca, kind, database, stream, generations: (low, high), tree, .. } = point;
    let (ca, tree) = (hex::encode(ca.as_bytes()), tree.to_hex());
    format!("{id} {} {time} {ca} {kind} {low:x}-{high:x} {database}/{stream}", tree.as_str())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use certadm_set::manifest::{Generations, SetKind};
    use certadm_set::signing::{KeyFile, Signer};
    use certadm_set::sink::SetSink;

    use super::*;
    use crate::copy::tests::{manifest, plant, repository};
    use crate::sink::SinkOptions;

    const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
        b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
        QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM\n\
        XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg\n\
        AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf\n\
        ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==\n\
        -----END OPENSSH PRIVATE KEY-----\n";

    fn signer() -> Signer {
        match KeyFile::parse(KEY.as_bytes()).unwrap() {
            KeyFile::Open(signer) => signer,
            KeyFile::Locked(_) => panic!("it has a passphrase"),
        }
    }

    /// Stores a set that was taken at this minute, signed or not.
    fn stored(repository: &CaRepository, minute: u32, signer: Option<Signer>) {
        let options = SinkOptions { signer: signer.map(Arc::new), ..SinkOptions::default() };
        let sink: Box<dyn SetSink> = Box::new(repository.sink(options).unwrap());
        let mut manifest = manifest();
        manifest.kind = SetKind::Full;
        manifest.generations = Generations { low: 1, high: minute + 1 };
        manifest.finished = format!("2026-01-01T00:{minute:02}:00Z");
        crate::copy::tests::fill(sink, manifest, 3_000).unwrap();
    }

    fn record(repository: &CaRepository) -> usize {
        repository.known_signatures().len()
    }

    #[test]
    fn a_signature_is_read_once_and_counts_for_the_set_that_the_snapshot_names() {
        let dir = certadm_files::scratch::for_test();
        let vault = dir.path().join("vault");
        std::fs::create_dir(&vault).unwrap();
        let plain = repository(&vault);
        let repository = CaRepository { signatures: Some(dir.path().join("state/ca")), ..plain };
        stored(&repository, 1, Some(signer()));
        stored(&repository, 2, None);
        let points = repository.points().unwrap();
        // An old set under the tags of a newer one: its signature is good, and it is not that set.
        let mut later = manifest();
        later.generations = Generations { low: 1, high: 9 };
        later.finished = "2026-01-01T00:09:00Z".to_owned();
        let time = later.finished_at().unwrap().unix_seconds();
        plant(&repository, points[0].tree, &later, time);
        let points = repository.points().unwrap();
        let signed = repository.signed_with(&points).unwrap();
        assert_eq!(signed[..2], [SignedWith::Key(signer().key()), not_signed()]);
        assert!(matches!(&signed[2], SignedWith::Nobody(why) if why.contains("differ")), "{signed:?}");
        assert_eq!(record(&repository), 2, "what does not fit is read again");
        // Nothing but the snapshots is there any more: what is remembered is not read.
        for pack in walk(&vault.join("data")) {
            std::fs::remove_file(pack).unwrap();
        }
        assert_eq!(repository.signed_with(&points[..2]).unwrap(), signed[..2]);
        let untold = repository.signed_with(&points[2..]).unwrap();
        assert!(matches!(untold.as_slice(), [SignedWith::Untold(_)]), "{untold:?}");
        // The record has what is there, and no more.
        assert_eq!(record(&repository), 0);
        std::fs::write(dir.path().join("state/ca"), [0xff, 0xfe]).unwrap();
        assert_eq!(record(&repository), 0);
    }

    fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }
}
