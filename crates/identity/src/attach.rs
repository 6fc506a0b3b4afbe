//! Putting beside a set what nobody can fetch: keys, files, notes (recovery.md 2).
//!
//! Nothing that is there is overwritten but the list, which is put into its place in one step: killed before, the identity part
//! is what it was, and a file that the list does not name is taken over by the next try. Two commands that add to one identity part
//! take turns, because each writes the whole list.
//!
//! What is attached last counts as the newest of its kind. So a file that is there already gets its new date, once its bytes were found to
//! be those of the list.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certadm_files::{Found, durable, lock, unfinished};
use certadm_rules::FileTime;
use certadm_rules::names::{folded, is_safe_component};

use crate::error::{Error, Result};
use crate::fetch::NewFile;
use crate::manifest::{FileEntry, MAX_FILE, Manifest, Note, Origin, Role, SeenKey};
use crate::part::{Part, beside, found_at, sibling, write_file, write_folder, write_list};

/// The folder for what was attached.
const ATTACHMENTS: &str = "Attachments";

/// For how long somebody else is waited for, who adds to the same identity part.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be put beside a set.
#[derive(Clone, Debug, Default)]
pub struct Attachments {
    /// Keys that were checked. The file of one that is kept goes to [`Attachments::keep`].
    pub keys: Vec<SeenKey>,
    /// Keys that are kept elsewhere, in the operator's words.
    pub external_keys: Vec<String>,
    /// Notes.
    pub notes: Vec<String>,
    files: Vec<NewFile>,
}

/// What was put beside a set. Files are named by their paths in the identity part.
#[derive(Clone, Debug)]
pub struct Added {
    /// The identity part as it is now.
    pub part: Part,
    /// Files that were written.
    pub new: Vec<String>,
    /// Files that were there already, byte for byte: they count as attached now.
    pub renewed: Vec<String>,
    /// Files that have other bytes than the list says, or cannot be read. Each stays as it is, and those of the list were written anew under
    /// another name.
    pub damaged: Vec<String>,
}

impl Attachments {
    /// Adds a file that the operator named.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, or is longer than 1 GiB.
    pub fn file(&mut self, role: Role, path: &Path) -> Result<()> {
        let content = Found::named(path).read(MAX_FILE)?;
        self.keep(role, path, content);
        Ok(())
    }

    /// Adds a file that was read already. Returns its path in the identity part, unless one of that name is there.
    pub fn keep(&mut self, role: Role, source: &Path, content: Vec<u8>) -> String {
        let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = if is_safe_component(name) && !name.starts_with('.') { name } else { "attachment" };
        let is_same = |known: &&NewFile| known.role == role && known.content == content;
        if let Some(known) = self.files.iter().find(is_same) {
            return known.path.clone();
        }
        let is_taken = |path: &str| self.files.iter().any(|known| same(&known.path, path));
        let path = free_name(&format!("{ATTACHMENTS}/{name}"), is_taken);
        self.files.push(NewFile { path: path.clone(), role, source: source.display().to_string(), content });
        path
    }

    /// Each file that was added: where it came from, and what is in it.
    pub fn contents(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|file| (&*file.source, &*file.content))
    }

    /// Whether there is nothing to attach.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.keys.is_empty()
            && self.external_keys.is_empty()
            && self.notes.is_empty()
    }

    /// Puts everything beside the set at `set`, as [`Attachments::attach`] does, and gives the identity part.
    ///
    /// # Errors
    /// As [`Attachments::attach`].
    pub fn write(self, set: &Path, database_signature: &str, now: FileTime) -> Result<Part> {
        Ok(self.attach(set, database_signature, now)?.part)
    }

    /// Puts everything beside the set at `set`: into its identity part, or into a new one. A set that nothing can be written
    /// into gets a folder beside it. `database_signature` as in [`Fetched::write`](crate::Fetched::write).
    ///
    /// # Errors
    /// [`Error::Manifest`] when the identity part that is there cannot be used, [`Error::Busy`] when somebody else adds to it for a minute,
    /// [`Error::File`].
    pub fn attach(self, set: &Path, database_signature: &str, now: FileTime) -> Result<Added> {
        // Where one in the set cannot be written, one beside it was begun.
        let Some(dir) = found_at(set).pop() else {
            return match self.begin(&beside(set), database_signature, now) {
                Err(Error::File(error)) if cannot_be_written(&error) && set.is_dir() => {
                    self.begin_or_add(&sibling(set), database_signature, now)
                }
                Err(error) => self.add_after(error, &beside(set), now),
                begun => begun,
            };
        };
        match self.add_to(&dir, now) {
            Err(Error::File(error)) if cannot_be_written(&error) && dir != sibling(set) => {
                self.begin_or_add(&sibling(set), database_signature, now)
            }
            other => other,
        }
    }

    fn begin_or_add(&self, dir: &Path, database_signature: &str, now: FileTime) -> Result<Added> {
        let begun = self.begin(dir, database_signature, now);
        begun.or_else(|error| self.add_after(error, dir, now))
    }

    /// Adds to the identity part in `dir` where beginning it failed because somebody else had just begun it.
    fn add_after(&self, error: Error, dir: &Path, now: FileTime) -> Result<Added> {
        match error {
            Error::File(_) if Part::open(dir).is_ok() => self.add_to(dir, now),
            error => Err(error),
        }
    }

    fn begin(&self, dir: &Path, database_signature: &str, now: FileTime) -> Result<Added> {
        let mut manifest = Manifest::new();
        database_signature.clone_into(&mut manifest.database_signature);
        manifest.files = self.files.iter().map(|file| file.entry(Origin::Attached, now)).collect();
        self.add_notes(&self.keys, &mut manifest, now);
        let new = self.files.iter().map(|file| file.path.clone()).collect();
        Ok(Added { new, ..Added::to(write_folder(dir, &mut manifest, &self.files)?) })
    }

    fn add_to(&self, dir: &Path, now: FileTime) -> Result<Added> {
        let turn = lock::within(PATIENCE, || unfinished::take_turn(dir))?;
        let _turn = turn.ok_or_else(|| Error::Busy { path: dir.to_owned() })?;
        let mut added = Added::to(Part::open(dir)?);
        // A kept key is known by the path that its file got.
        let mut keys = self.keys.clone();
        for (given, mut file) in self.files.iter().zip(self.files.clone()) {
            if !added.renew(&mut file, now)? {
                added.add(&mut file, now)?;
            }
            for (key, own) in keys.iter_mut().zip(&self.keys) {
                if own.kept.as_ref() == Some(&given.path) {
                    key.kept = Some(file.path.clone());
                }
            }
        }
        let folder = added.part.dir.join(ATTACHMENTS);
        if folder.is_dir() {
            durable::sync_dir(&folder)?;
        }
        self.add_notes(&keys, &mut added.part.manifest, now);
        write_list(&added.part.dir, &mut added.part.manifest)?;
        let part = Part::open(&added.part.dir)?;
        Ok(Added { part, ..added })
    }

    fn add_notes(&self, keys: &[SeenKey], manifest: &mut Manifest, now: FileTime) {
        let note = |text: &String| Note { when: now.to_rfc3339(), text: text.clone() };
        for key in keys {
            // Shown again, it was seen later. One that is kept in two files, as PEM and as PKCS#12, has an entry for each.
            let is_same = |known: &SeenKey| {
                let is_elsewhere = known.kept.is_some() && key.kept.is_some() && known.kept != key.kept;
                known.public_key_sha256 == key.public_key_sha256 && !is_elsewhere
            };
            let (before, mut keys): (Vec<_>, Vec<_>) = manifest.keys.drain(..).partition(is_same);
            let place = key.place.clone().or_else(|| before.iter().find_map(|before| before.place.clone()));
            let mut kept: Vec<Option<String>> = match &key.kept {
                Some(path) => vec![Some(path.clone())],
                None => before.into_iter().map(|before| before.kept).filter(Option::is_some).collect(),
            };
            if kept.is_empty() {
                kept.push(None);
            }
            let entry = |kept| SeenKey { kept, place: place.clone(), ..key.clone() };
            keys.extend(kept.into_iter().map(entry));
            manifest.keys = keys;
        }
        manifest.external_keys.extend(self.external_keys.iter().map(note));
        manifest.notes.extend(self.notes.iter().map(note));
    }
}

impl Added {
    fn to(part: Part) -> Self {
        Self { part, new: Vec::new(), renewed: Vec::new(), damaged: Vec::new() }
    }

    /// Where the list has a file of these bytes, and the file has them, too, its entry becomes that of what is attached now: otherwise another
    /// file that was attached in between would count as the newest. One that is missing is written first. `file` gets its path.
    /// Returns whether there is one.
    fn renew(&mut self, file: &mut NewFile, now: FileTime) -> Result<bool> {
        let new = file.entry(Origin::Attached, now);
        let is_same = |known: &&FileEntry| {
            (known.role, &known.blake3, &known.sha256) == (new.role, &new.blake3, &new.sha256)
        };
        let same: Vec<String> =
            self.part.manifest.files.iter().filter(is_same).map(|known| known.path.clone()).collect();
        for path in &same {
            if self.place(path).symlink_metadata().is_err() {
                file.path.clone_from(path);
                write_file(&self.part.dir, file)?;
                durable::sync_parent(&self.place(path))?;
                self.new.push(path.clone());
            }
        }
        let Some(whole) = same.iter().find(|path| self.has(path, &file.content)) else {
            self.damaged.extend(same);
            return Ok(false);
        };
        if !self.new.contains(whole) {
            self.renewed.push(whole.clone());
        }
        file.path.clone_from(whole);
        // Of two of one second the later in the list counts.
        let files = &mut self.part.manifest.files;
        files.retain(|known| known.path != *whole);
        files.push(FileEntry { path: whole.clone(), ..new });
        Ok(true)
    }

    /// Writes a file under a name that is free, and lists it.
    fn add(&mut self, file: &mut NewFile, now: FileTime) -> Result<()> {
        let listed: HashSet<String> =
            self.part.manifest.files.iter().map(|known| folded(&known.path)).collect();
        // A file that a killed command has left is taken over if it is this one.
        let is_taken = |path: &str| {
            listed.contains(&folded(path))
                || self.place(path).symlink_metadata().is_ok() && !self.has(path, &file.content)
        };
        file.path = free_name(&file.path, is_taken);
        if !self.has(&file.path, &file.content) {
            write_file(&self.part.dir, file)?;
        }
        let new = file.entry(Origin::Attached, now);
        // The key whose file is damaged is kept in this one now.
        let damaged = &self.damaged;
        let is_moved = |known: &&FileEntry| known.blake3 == new.blake3 && damaged.contains(&known.path);
        let moved: Vec<&str> =
            self.part.manifest.files.iter().filter(is_moved).map(|known| &*known.path).collect();
        for key in &mut self.part.manifest.keys {
            if key.kept.as_deref().is_some_and(|kept| moved.contains(&kept)) {
                key.kept = Some(file.path.clone());
            }
        }
        self.new.push(file.path.clone());
        self.part.manifest.files.push(new);
        Ok(())
    }

    /// Whether a file has these bytes.
    fn has(&self, path: &str, content: &[u8]) -> bool {
        let file = Found::below(&self.part.dir, path.split('/').collect::<PathBuf>());
        file.read(content.len() as u64).is_ok_and(|found| found == content)
    }

    fn place(&self, path: &str) -> PathBuf {
        self.part.dir.join(path.split('/').collect::<PathBuf>())
    }
}

/// The name, or else the same with a number: `note.txt`, `note-2.txt`.
fn free_name(path: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let (stem, ending) = match path.rsplit_once('.') {
        Some((stem, ending)) if !ending.contains('/') => (stem, format!(".{ending}")),
        _ => (path, String::new()),
    };
    let mut free = path.to_owned();
    let mut number = 1;
    while is_taken(&free) {
        number += 1;
        free = format!("{stem}-{number}{ending}");
    }
    free
}

fn same(one: &str, other: &str) -> bool {
    certadm_rules::names::same_ignoring_case(one, other)
}

/// Whether the medium or its rights keep anything from being written there.
fn cannot_be_written(error: &certadm_files::Error) -> bool {
    use std::io::ErrorKind;
    match error {
        certadm_files::Error::Io { source, .. } => {
            matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
        }
        _ => false,
    }
}
