//! The sets that a log set needs, and that lie beside it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use certadm_set::folder::FolderSet;
use certadm_set::manifest::SetKind;
use certadm_set::stored::chains;
use certadm_set::{Neighbours, seal};

use crate::failure::Failure;

/// The sets, each after those that lie beside it and that a restore needs with it; full sets first. A set without a manifest, such as
/// certutil writes it, counts by what is in it. One whose neighbours cannot be listed stands for itself: whether its full set is
/// there, the import looks up. What lies beside the sets is in `neighbours` then.
pub(crate) fn with_their_chains(
    sets: &[PathBuf],
    neighbours: &mut Neighbours,
) -> Result<Vec<PathBuf>, Failure> {
    let now = certadm_store::now().unix_seconds();
    let mut by_folder: Vec<(PathBuf, Vec<PathBuf>)> = Vec::new();
    for set in sets {
        let set = certadm_files::absolute(set)?;
        let parent = set.parent().unwrap_or(&set).to_owned();
        match by_folder.iter_mut().find(|(folder, _)| *folder == parent) {
            Some((_, sets)) => sets.push(set),
            None => by_folder.push((parent, vec![set])),
        }
    }
    let (mut fulls, mut others) = (Vec::new(), Vec::new());
    for (folder, sets) in by_folder {
        let beside = neighbours.in_folder(&folder);
        let sealed: Vec<&FolderSet> = beside.sets.iter().collect();
        let known = by_path(&sealed, now);
        // These are opened, so only where a set needs them, or is one of them.
        let is_known = |set: &PathBuf| known.get(set.as_path()).is_some_and(|(_, chain)| chain.is_ok());
        let unsealed = if sets.iter().all(is_known) { &[] } else { beside.unsealed.as_slice() };
        let unsealed: Vec<FolderSet> =
            unsealed.iter().filter_map(|path| seal::unsealed(path, neighbours)).collect();
        let all: Vec<&FolderSet> = sealed.iter().copied().chain(&unsealed).collect();
        let with_unsealed = by_path(&all, now);
        for set in sets {
            let found = if is_known(&set) { &known } else { &with_unsealed };
            let (last, chain) = found.get(set.as_path()).map(|(last, chain)| (*last, chain)).unzip();
            let needed = chain.and_then(|chain| chain.as_ref().ok()).into_iter().flatten();
            let kind = last.map(|last| last.kind).or_else(|| Some(seal::unsealed(&set, neighbours)?.kind));
            let part = if kind == Some(SetKind::Logs) { &mut others } else { &mut fulls };
            part.extend(needed.map(|set| set.path.clone()).chain([set]));
        }
    }
    let mut seen = BTreeSet::new();
    Ok(fulls.into_iter().chain(others).filter(|path| seen.insert(path.clone())).collect())
}

/// A set, and the chain that ends with it.
type Chained<'a> = (&'a FolderSet, Result<Vec<&'a FolderSet>, String>);

/// The sets by their folders.
fn by_path<'a>(sets: &[&'a FolderSet], now: i64) -> HashMap<&'a Path, Chained<'a>> {
    sets.iter().zip(chains(sets, now)).map(|(set, chain)| (set.path.as_path(), (*set, chain))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The first block of a file: what tells a database, or a log of this generation.
    fn write(folder: &Path, name: &str, fields: &[(usize, &[u8])]) {
        let mut bytes = vec![0; 8192];
        fields.iter().for_each(|(at, field)| bytes[*at..at + field.len()].copy_from_slice(field));
        let words = bytes[4..4096].chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        let sum = words.fold(0x89AB_CDEF, |sum, word| sum ^ word);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        fs::write(folder.join("DataBase").join(name), bytes).unwrap();
    }

    /// A set as certutil leaves it: with a restore map, without a manifest.
    fn set(dir: &Path, name: &str, has_database: bool, generation: u32) -> PathBuf {
        let folder = dir.join(name);
        fs::create_dir_all(folder.join("DataBase")).unwrap();
        let place = r"\\ca1.example\admin$\system32\CertLog";
        let map = format!("D{place}\\CA.edb\0\u{82}{place}\0\u{83}{place}\0\0");
        let map: Vec<u8> = map.encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(folder.join("DataBase/certbkxp.dat"), map).unwrap();
        if has_database {
            write(&folder, "CA.edb", &[(4, &0x89AB_CDEF_u32.to_le_bytes())]);
        }
        let number = generation.to_le_bytes();
        let log: [(usize, &[u8]); 9] = [
            (4, &number),
            (8, &[0, 16]),
            (10, &[1, 0]),
            (12, &[2, 0]),
            (14, &[0, 16]),
            // Created on 1 December 2025, in UTC.
            (16, &[1, 1, 1, 1, 12, 125, 1, 0]),
            (32, &[8]),
            (44, &[7; 28]),
            (667, &[3]),
        ];
        write(&folder, &format!("edb{generation:05x}.log"), &log);
        folder
    }

    #[test]
    fn what_certutil_wrote_goes_after_the_full_set_that_it_continues() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let logs = set(dir, "a-logs", false, 6);
        let more = set(dir, "b-logs", false, 7);
        let full = set(dir, "full", true, 5);
        let order = [full.clone(), logs.clone(), more.clone()];
        // Whatever is named first, and where the log set alone is named.
        for named in
            [vec![more.clone()], vec![more.clone(), logs.clone(), full.clone()], vec![full, more, logs]]
        {
            assert_eq!(with_their_chains(&named, &mut Neighbours::default()).unwrap(), order, "{named:?}");
        }
        // Without a full set beside them log sets stay last.
        fs::rename(&order[0], dir.join(".hidden")).unwrap();
        let other = set(&dir.join("elsewhere"), "full", true, 1);
        let named = [order[1].clone(), other.clone()];
        assert_eq!(with_their_chains(&named, &mut Neighbours::default()).unwrap(), [other, order[1].clone()]);
    }

    /// How often this thread has read from a file since it began.
    #[cfg(target_os = "linux")]
    fn reads() -> u64 {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap();
        text.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_neighbour_is_not_opened_once_for_every_other_one() {
        let reads_for = |count: u32| {
            let dir = tempfile::tempdir().unwrap();
            let mut sets = vec![set(dir.path(), "full", true, 5)];
            sets.extend((0..count).map(|at| set(dir.path(), &format!("logs-{at}"), false, 6 + at)));
            let before = reads();
            let mut neighbours = Neighbours::default();
            assert_eq!(with_their_chains(&sets[sets.len() - 1..], &mut neighbours).unwrap(), sets);
            reads() - before
        };
        let (few, many) = (reads_for(10), reads_for(40));
        assert!(many < 5 * few, "{few} reads for 10 neighbours, {many} for 40");
    }
}
