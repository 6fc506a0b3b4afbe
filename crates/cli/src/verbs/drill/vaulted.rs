//! A drill's repository: its sets go into a vault of the drill's own folder, the vault's key is lost with the CA, and the sets
//! come back by the recovery code, which an administrator has kept.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_client::own_host_name;
use certadm_files::{Access, IoContext, durable};
use certadm_repository::{
    CaRepository, Fetched, Label, Part, Profiles, Selector, SinkOptions, Vault, recovery_code,
};
use certadm_rules::diagnosis::chain_of;
use certadm_session::Source;
use certadm_set::{ReadBack, TakeOptions, Taken, take_into};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, human_bytes, path_text};
use crate::verbs::places;

/// The vault's name in addresses.
const VAULT: &str = "drill";

/// The repository while its CA is there.
pub(super) struct Vaulted {
    root: PathBuf,
    repository: CaRepository,
}

/// The sets that came back out of it, for as long as this lives, and what was seen of the repository.
pub(super) struct Recovered {
    fetched: Fetched,
    pub(super) seen: Seen,
}

/// What was seen of a drill's repository after the CA was lost.
pub(super) struct Seen {
    place: PathBuf,
    sets: usize,
    packs: u64,
    bytes: u64,
    /// What is wrong with it.
    problems: Vec<String>,
}

impl Vaulted {
    /// Makes the repository of the CA in the drill's folder.
    pub(super) fn make(root: &Path, ca: &str, output: Output) -> Result<Self, Failure> {
        durable::create_dir(&root.join("vault"))?;
        let code = recovery_code()?;
        durable::create(&root.join("code"), format!("{}\n", *code).as_bytes(), Access::Owner)?;
        let vault = vault(root, &format!("key-file = {:?}", key_file(root)))?;
        let host = own_host_name();
        let repository = vault.create(ca, &code, Label { host: &host, user: "recovery code" })?;
        output.line(format!("Made the repository {}; backups go into it.", repository.address()));
        Ok(Self { root: root.to_owned(), repository })
    }

    /// Takes a backup into it: read back and proved, its database checked before logs are deleted.
    pub(super) fn back_up(
        &self,
        source: &mut dyn Source,
        options: &TakeOptions,
        output: Output,
    ) -> Result<Taken, Failure> {
        let sink = self.repository.sink(SinkOptions {
            scratch: Some(self.root.clone()),
            read_back: options.read_back,
            logs_read_back: if options.truncate { ReadBack::Medium } else { options.read_back },
            signer: None,
            beside: None,
        })?;
        Ok(take_into(source, Box::new(sink), options, &mut output.progress())?)
    }

    /// The key file goes with the CA's machine.
    pub(super) fn lose_key(&self) -> Result<(), Failure> {
        let key = key_file(&self.root);
        Ok(fs::remove_file(&key).during("remove", &key)?)
    }

    /// Opens it by the recovery code alone, reads every pack, and copies the newest state out.
    pub(super) fn recover(&self, output: Output) -> Result<Recovered, Failure> {
        let vault = vault(&self.root, &format!("password-file = {:?}", self.root.join("code")))?;
        let repository = vault.repository(None)?;
        let checked = repository.check(Part::ALL, &mut output.progress())?;
        let fetched = places::fetch(&repository, &Selector::Latest, &self.root, &mut output.progress())?;
        let dead = repository.dead_keys(&checked.keys).into_iter().map(|error| chain_of(&error));
        let seen = Seen {
            place: self.root.join("vault"),
            sets: repository.points()?.len(),
            packs: checked.packs,
            bytes: checked.bytes,
            problems: checked.problems.into_iter().map(|problem| problem.text).chain(dead).collect(),
        };
        output.line(format!(
            "Opened the repository by its recovery code, its key is lost: {} sets, {} packs with {} read, {} of the sets \
             are a state.",
            seen.sets,
            seen.packs,
            human_bytes(seen.bytes),
            fetched.points.len()
        ));
        Ok(Recovered { fetched, seen })
    }
}

impl Recovered {
    /// The folders of the newest state: the full set, and the log sets that continue it.
    pub(super) fn sets(&self) -> Vec<PathBuf> {
        self.fetched.sets.clone()
    }
}

impl Seen {
    pub(super) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn print(&self, output: Output) {
        output.line(match self.is_sound() {
            true => format!("Repository: {} packs, sound; opened by its recovery code.", self.packs),
            false => format!("Repository: DAMAGED: {}.", self.problems.join("; ")),
        });
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "place": path_text(&self.place),
            "sets": self.sets,
            "packs_read": self.packs,
            "bytes_read": self.bytes,
            "problems": self.problems,
        })
    }
}

fn key_file(root: &Path) -> PathBuf {
    root.join("vault.key")
}

/// The vault of the drill, opened as `secret` says.
fn vault(root: &Path, secret: &str) -> Result<Vault, Failure> {
    let place = format!("file://{}", root.join("vault").display());
    let mistake = |detail: String| Failure::internal(format!("the drill's vault: {detail}"));
    let profiles = Profiles::parse(&format!("[{VAULT}]\nurl = {place:?}\n{secret}\n")).map_err(mistake)?;
    Ok(Vault::new(profiles.vault(VAULT)?.clone()))
}
