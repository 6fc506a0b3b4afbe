//! Where the tests make their folders: in memory, where there is room.
//!
//! Most tests of the command write small files and wait for each to be durable; on a disk that is most of their time. In
//! memory the same calls are made in the same order, and those that watch, fail or kill in between see the same. What a
//! loss of power leaves is not shown on a disk either: that is what the tests of the order of flushes are for.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// The folder in memory that Linux has.
const MEMORY: &str = "/dev/shm";

/// The tests hold far less at a time; the rest is for whoever else works on the machine.
const LEAST_ROOM: u64 = 4 << 30;
const LEAST_MEMORY: u64 = 8 << 30;

/// What programs ask for the place of their temporary files.
const VARIABLE: &str = "TMPDIR";

/// A folder of its own in memory for the tests, removed in the end; where there is no room, or somebody has said where
/// temporary files go, that place.
pub(crate) struct Scratch(Option<PathBuf>);

impl Scratch {
    /// Makes the folder, and says where it is.
    pub(crate) fn make() -> Self {
        let said = std::env::var_os(VARIABLE).is_some_and(|place| !place.is_empty());
        let has_room = room(Path::new(MEMORY)).is_some_and(|free| free >= LEAST_ROOM)
            && available_memory().is_some_and(|free| free >= LEAST_MEMORY);
        let folder = (!said && has_room)
            .then(|| Path::new(MEMORY).join(format!("certadm-tests-{}", std::process::id())))
            .filter(|folder| std::fs::create_dir(folder).is_ok());
        let place = folder.clone().unwrap_or_else(std::env::temp_dir);
        println!("scratch folders of the tests: {}", place.display());
        Self(folder)
    }

    /// Has a program make its temporary files there.
    pub(crate) fn give_to(&self, command: &mut Command) {
        if let Some(folder) = &self.0 {
            command.env(VARIABLE, folder);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(folder) = &self.0
            && let Err(error) = std::fs::remove_dir_all(folder)
        {
            eprintln!("cannot remove {}: {error}", folder.display());
        }
    }
}

/// Free bytes of a folder in memory; nothing for one on a disk.
fn room(folder: &Path) -> Option<u64> {
    let mut df = Command::new("df");
    df.args(["--output=fstype,avail", "--block-size=1"]).arg(folder);
    free_of(&process::output(&mut df).ok()?)
}

fn free_of(said: &str) -> Option<u64> {
    let (kind, free) = said.lines().nth(1)?.split_once(char::is_whitespace)?;
    (kind == "tmpfs").then(|| free.trim().parse().ok())?
}

/// Bytes of memory that programs can still have.
fn available_memory() -> Option<u64> {
    memory_of(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn memory_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_counts() {
        assert_eq!(free_of("Type Avail\ntmpfs 25186897920\n"), Some(25_186_897_920));
        assert_eq!(free_of("Type   Avail\next4 25186897920\n"), None);
        assert_eq!(free_of("Type   Avail\n"), None);
        assert_eq!(memory_of("MemTotal: 9 kB\nMemAvailable:   23541234 kB\n"), Some(23_541_234 << 10));
        assert_eq!(memory_of("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn the_folder_is_given_and_removed() {
        let scratch =
            Scratch(Some(std::env::temp_dir().join(format!("certadm scratch {}", std::process::id()))));
        let folder = scratch.0.clone().unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("left behind"), "").unwrap();
        let mut command = Command::new("true");
        scratch.give_to(&mut command);
        assert!(
            command.get_envs().any(|(name, value)| name == VARIABLE && value == Some(folder.as_os_str()))
        );
        drop(scratch);
        assert!(!folder.exists());
        let mut command = Command::new("true");
        Scratch(None).give_to(&mut command);
        assert_eq!(command.get_envs().count(), 0);
    }
}
