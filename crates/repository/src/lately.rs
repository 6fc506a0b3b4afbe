//! Which packs this machine has read lately, so that a backup with `read-back = "new"` relies on no older ones
//! (repository.md 4.3). The record is a file of this machine and no part of the repository: whoever may write there could make
//! us trust what nobody has read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use certadm_files::{durable, read};
use rustic_core::Id;

/// The folder of the records in the state of this machine.
const FOLDER: &str = "packs-read";
/// No record is longer, in bytes, because it is read into memory: 80 bytes a pack of 8 MiB are enough for 6 TiB. A longer one
/// counts as none, and then everything is read again.
const MAX_LEN: u64 = 64 << 20;

/// The record of one repository.
#[derive(Clone, Debug)]
pub(crate) struct Lately {
    file: PathBuf,
    /// How long a pack is relied on after it was read, in seconds.
    within: i64,
}

impl Lately {
    /// The record in `state` of a repository, by the names of its vault and its folder.
    pub(crate) fn new(state: &Path, vault: &str, folder: &str, within: i64) -> Self {
        Self { file: state.join(FOLDER).join(vault).join(folder), within }
    }

    /// The packs that were read lately. What cannot be understood was not read, nor was what is dated in the future.
    pub(crate) fn packs(&self) -> BTreeSet<Id> {
        self.read(now()).into_keys().collect()
    }

    /// Notes that packs were read just now. A note that cannot be made costs that they are read again.
    pub(crate) fn note<'a>(&self, packs: impl IntoIterator<Item = &'a Id>) {
        let now = now();
        let mut known = self.read(now);
        known.extend(packs.into_iter().map(|pack| (*pack, now)));
        let text: String =
            known.iter().map(|(pack, when)| format!("{} {when}\n", pack.to_hex().as_str())).collect();
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let noted = durable::create_dir(folder);
        drop(noted.and_then(|()| durable::replace_private(&self.file, text.as_bytes())));
    }

    fn read(&self, now: i64) -> BTreeMap<Id, i64> {
        let bytes = read::bounded(&self.file, MAX_LEN).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let line = |line: &str| {
            let (pack, when) = line.split_once(' ')?;
            Some((pack.parse::<Id>().ok()?, when.parse::<i64>().ok()?))
        };
        let is_late = |when: i64| now.saturating_sub(self.within) < when && when <= now;
        text.lines().filter_map(line).filter(|(_, when)| is_late(*when)).collect()
    }
}

/// The time of this machine, in seconds since 1970.
pub(crate) fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_counts_as_read_for_a_while_and_nothing_odd_does() {
        let dir = certadm_files::scratch::for_test();
        let [one, other, third] = ["11", "22", "33"].map(|text| text.repeat(32).parse::<Id>().unwrap());
        let week = Lately::new(dir.path(), "vault", "CA", 7 * 86_400);
        assert!(week.packs().is_empty(), "there is no record yet");
        week.note([&one, &other]);
        assert_eq!(week.packs(), BTreeSet::from([one, other]));
        assert!(Lately { within: 0, ..week.clone() }.packs().is_empty());
        assert!(Lately::new(dir.path(), "vault", "CA 2", 7 * 86_400).packs().is_empty());
        let line = |pack: &Id, when: i64| format!("{} {when}\n", pack.to_hex().as_str());
        let text =
            line(&one, now() - 8 * 86_400) + &line(&other, now() + 60) + "x 1\n7\n\n" + &line(&third, now());
        std::fs::write(&week.file, text).unwrap();
        assert_eq!(week.packs(), BTreeSet::from([third]));
        week.note([&one]);
        assert_eq!(week.packs(), BTreeSet::from([one, third]));
        std::fs::write(&week.file, [0xff, 0xfe]).unwrap();
        assert!(week.packs().is_empty());
    }
}
