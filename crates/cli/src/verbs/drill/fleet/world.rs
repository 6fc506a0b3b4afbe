//! The fleet: small CAs, their vault and their configuration, and what befalls them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use certadm_ca::{Authority, CaName, KeyType, Passphrase, Request, Role, Terms};
use certadm_files::{Access, IoContext, durable};
use certadm_jobs::Config;
use certadm_jobs::perform::Performed;
use certadm_jobs::record::Outcome;
use certadm_rehearsal::request;
use certadm_repository::Profiles;
use certadm_store::Folder;

use super::inside;
use crate::failure::Failure;
use crate::verbs::drill::parts::copy_parts;
use crate::verbs::live::open_store;

/// The job, and the vault that its backups go to.
pub(super) const JOB: &str = "fleet";
const VAULT: &str = "drill";
/// Requests with keys of their own, which the CAs issue over and over.
const REQUESTS: usize = 8;

/// One CA, and what it has issued.
pub(super) struct Member {
    /// The name of its section, and its own name.
    pub(super) name: String,
    folder: Folder,
    /// What no set holds: an administrator keeps it elsewhere.
    kept: PathBuf,
    /// The serial numbers that it has issued, with the hashes of the certificates, in their order.
    issued: Vec<(String, blake3::Hash)>,
    /// How many of these its last backup holds.
    pub(super) safe: usize,
    is_lost: bool,
}

/// What a restored CA knows of what was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restored {
    /// Certificates that were acknowledged before the last backup.
    pub(super) expected: usize,
    /// Of these, there byte for byte.
    pub(super) equal: usize,
    /// Certificates that were issued after it, and are lost.
    pub(super) lost: usize,
}

pub(super) struct World {
    root: PathBuf,
    pub(super) config: Config,
    pub(super) members: Vec<Member>,
    passphrase: Passphrase,
    requests: Vec<Request>,
}

impl World {
    /// Makes the CAs and their repositories. Who is told of alarms listens at `listener`.
    pub(super) fn make(root: &Path, count: u16, listener: Option<&str>) -> Result<Self, Failure> {
        let secret = root.join("passphrase");
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(certadm_ca::Error::Random)?;
        let text = blake3::hash(&random).to_hex();
        durable::create(&secret, text.as_bytes(), Access::Owner)?;
        let passphrase = Passphrase::from_file(&secret)?;
        let place = root.join("vault");
        durable::create_dir(&place)?;
        let vault = format!(
            "url = {}\nkey-file = {}\nmaintenance = true\n",
            quoted(&format!("file://{}", place.display())),
            quoted(&root.join("{ca}.vaultkey").display().to_string())
        );
        let mistake = |detail: String| Failure::internal(format!("the drill's configuration: {detail}"));
        Profiles::parse(&format!("[{VAULT}]\n{vault}")).map_err(mistake)?.use_only();
        let mut members = Vec::new();
        for number in 1..=count {
            members.push(Member::make(root, format!("ca{number}"), &passphrase)?);
        }
        let text = configuration(&members, root, &secret, &vault, listener);
        let path = root.join("certadm.toml");
        durable::write_new(&path, text.as_bytes())?;
        let config = Config::parse(&text, &path).map_err(mistake)?;
        let requests = (0..REQUESTS).map(|number| request::for_host(&format!("host{number}.drill.example")));
        let requests = requests.collect::<Result<_, _>>()?;
        Ok(Self { root: root.to_owned(), config, members, passphrase, requests })
    }

    /// Each CA that is there issues a certificate, and publishes a CRL if wished.
    pub(super) fn issue(&mut self, publish: bool) -> Result<(), Failure> {
        for member in self.members.iter_mut().filter(|member| !member.is_lost) {
            let authority = Authority::open(&member.folder, &self.passphrase)?;
            let store = open_store(&member.folder)?;
            let mut writer = store.writer()?;
            let request = &self.requests[member.issued.len() % REQUESTS];
            let issued = authority.issue(&mut writer, request, &Terms::new("drill"), certadm_store::now())?;
            member.issued.push((issued.serial.as_str().to_owned(), blake3::hash(&issued.der)));
            if publish {
                authority.publish_crl(&mut writer, certadm_store::now())?;
            }
            drop(writer);
            store.close()?;
        }
        Ok(())
    }

    /// The vault cannot be reached, or can be again.
    pub(super) fn unplug(&self, is_away: bool) -> Result<(), Failure> {
        let (here, away) = (self.root.join("vault"), self.root.join("unplugged"));
        let (from, to) = if is_away { (&here, &away) } else { (&away, &here) };
        Ok(durable::rename(from, to)?)
    }

    /// A CA is lost, with its folder.
    pub(super) fn lose(&mut self, at: usize) -> Result<(), Failure> {
        let member = &mut self.members[at];
        member.is_lost = true;
        let folder = member.folder.path();
        Ok(fs::remove_dir_all(folder).during("remove", folder)?)
    }

    /// A lost CA comes back from its newest state.
    pub(super) fn bring_back(&mut self, at: usize) -> Result<Restored, Failure> {
        let dir = self.members[at].folder.path().to_owned();
        let restored = self.restore(at, &dir)?;
        let member = &mut self.members[at];
        member.is_lost = false;
        // What was issued after the last backup is gone, and the CA goes on from there.
        member.issued.truncate(member.safe);
        Ok(restored)
    }

    /// Restores the newest state of a CA into a folder, and compares it with what was acknowledged.
    pub(super) fn restore(&self, at: usize, dir: &Path) -> Result<Restored, Failure> {
        let member = &self.members[at];
        let from = format!("{VAULT}:{}/latest", member.name);
        well(&command(&["restore", "--from", &from, "--dir"], dir), "restore")?;
        copy_parts(&member.kept, dir)?;
        let store = open_store(&Folder::new(dir))?;
        let there = certificates(&store)?;
        store.close()?;
        let (before, after) = member.issued.split_at(member.safe);
        let is_there = |(serial, hash): &&(String, blake3::Hash)| there.get(serial) == Some(hash);
        Ok(Restored {
            expected: before.len(),
            equal: before.iter().filter(is_there).count(),
            lost: after.len(),
        })
    }

    /// Files of the repository of a CA that hold bytes of sets.
    pub(super) fn packs(&self, at: usize) -> Result<BTreeSet<PathBuf>, Failure> {
        let data = self.root.join("vault").join(&self.members[at].name).join("data");
        Ok(files_below(&data)?.into_iter().collect())
    }

    /// Turns a byte in the middle of the largest of these files: that one has the bytes of logs, and not the names of files.
    /// Returns whether there was one.
    pub(super) fn damage<'a>(&self, packs: impl Iterator<Item = &'a PathBuf>) -> Result<bool, Failure> {
        let Some(pack) = packs.max_by_key(|pack| fs::metadata(pack).map_or(0, |file| file.len())) else {
            return Ok(false);
        };
        let mut bytes = fs::read(pack).during("read", pack)?;
        let middle = bytes.len() / 2;
        let Some(byte) = bytes.get_mut(middle) else { return Ok(false) };
        *byte ^= 1;
        durable::replace(pack, &bytes)?;
        Ok(true)
    }

    /// The states of a CA that can be named, the oldest first.
    pub(super) fn points(&self, at: usize) -> Result<Vec<String>, Failure> {
        let repository = crate::verbs::places::vault(VAULT)?.repository(Some(&self.members[at].name))?;
        Ok(repository.points()?.into_iter().map(|point| point.id).collect())
    }

    /// Reads a state of a CA back.
    pub(super) fn verify(&self, at: usize, point: &str) -> Performed {
        command(&["verify"], Path::new(&format!("{VAULT}:{}/{point}", self.members[at].name)))
    }

    /// Notes of proofs tell their time by the clock of the storage: it shows the drill's time, too.
    pub(super) fn date_notes(&self, at: usize, begun: i64, now: i64) -> Result<(), Failure> {
        let notes = self.root.join("vault").join(&self.members[at].name).join("certadm/proven");
        for note in files_below(&notes)? {
            let file = fs::OpenOptions::new().write(true).open(&note).during("open", &note)?;
            let changed = file.metadata().and_then(|file| file.modified()).during("look at", &note)?;
            let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            // One that was dated before has a time of the two weeks.
            if begun <= i64::try_from(changed).unwrap_or(i64::MAX) {
                let time = UNIX_EPOCH + Duration::from_secs(now.unsigned_abs());
                file.set_modified(time).during("date", &note)?;
            }
        }
        Ok(())
    }
}

impl Member {
    fn make(root: &Path, name: String, passphrase: &Passphrase) -> Result<Self, Failure> {
        let folder = Folder::new(root.join(&name));
        let ca = CaName::from_str(&name).map_err(|error| Failure::internal(error.to_string()))?;
        let config = certadm_ca::Config::new(ca, KeyType::P256);
        Authority::init(&folder, &config, Role::Root, passphrase, certadm_store::now())?;
        let kept = root.join(format!("{name}-kept"));
        durable::create_dir(&kept)?;
        copy_parts(folder.path(), &kept)?;
        let vault = format!("{VAULT}:");
        let code = root.join(format!("{name}.code"));
        well(
            &command(&["repository", "init", &vault, "--ca", &name, "--recovery-file"], &code),
            "repository init",
        )?;
        Ok(Self { name, folder, kept, issued: Vec::new(), safe: 0, is_lost: false })
    }

    /// All that it has issued is in its last backup.
    pub(super) fn backed_up(&mut self) {
        self.safe = self.issued.len();
    }

    /// How many certificates it has issued.
    pub(super) fn count(&self) -> usize {
        self.issued.len()
    }
}

fn configuration(
    members: &[Member],
    root: &Path,
    secret: &Path,
    vault: &str,
    listener: Option<&str>,
) -> String {
    let cas: String = members
        .iter()
        .map(|member| {
            let kept = |name: &str| quoted(&member.kept.join(name).display().to_string());
            format!(
                "{} = {{ dir = {}, key = {}, identity = {}, name = {} }}\n",
                member.name,
                quoted(&member.folder.path().display().to_string()),
                kept("ca.key"),
                kept(""),
                quoted(&member.name)
            )
        })
        .collect();
    let notify = listener.map(|address| format!("[notify.drill]\nwebhook = {}\n", quoted(address)));
    format!(
        "state = \"state\"\nretry-after = []\n[defaults.ca]\npassphrase-file = {}\n[ca]\n{cas}[repository.{VAULT}]\n{vault}\
         [job.{JOB}]\nca = \"all\"\nto = \"{VAULT}:\"\nfull = \"weekly sun 02:00\"\nlogs = \"every 12h\"\n\
         verify = \"daily 05:00\"\ncomplete = \"weekly mon 06:00\"\nrehearse = \"weekly sun 04:00\"\n\
         keep = {{ last = 2, daily = 14 }}\nrpo = \"20h\"\nscratch = {}\n{}",
        quoted(&secret.display().to_string()),
        quoted(&root.display().to_string()),
        notify.unwrap_or_default()
    )
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Carries a command out whose last word is a path.
fn command(words: &[&str], path: &Path) -> Performed {
    let words = words.iter().map(OsString::from).chain([path.as_os_str().to_owned()]);
    inside::carry_out(&words.collect::<Vec<_>>())
}

/// What keeps the drill from going on.
fn well(performed: &Performed, what: &str) -> Result<(), Failure> {
    match (performed.outcome, performed.trouble.first()) {
        (Outcome::Good | Outcome::Finding, _) => Ok(()),
        (_, Some(trouble)) => {
            Err(Failure::internal(format!("the drill's {what} failed: {}", trouble.message)))
        }
        (_, None) => Err(Failure::internal(format!("the drill's {what} failed"))),
    }
}

/// The certificates of a CA by their serial numbers.
fn certificates(store: &certadm_store::Store) -> Result<BTreeMap<String, blake3::Hash>, Failure> {
    let writer = store.writer()?;
    let all = "SELECT SerialNumber, RawCertificate FROM Certificates WHERE SerialNumber IS NOT NULL";
    let mut statement = writer.connection().prepare(all).map_err(certadm_store::Error::from)?;
    let rows = statement.query_map([], |row| {
        let der: Vec<u8> = row.get(1)?;
        Ok((row.get(0)?, blake3::hash(&der)))
    });
    let rows = rows.map_err(certadm_store::Error::from)?;
    Ok(rows.collect::<Result<_, _>>().map_err(certadm_store::Error::from)?)
}

/// The files below a folder; none where it is not there.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(folder).during("list", folder) {
        Err(error) if error.is_not_found() => return Ok(files),
        other => other?,
    };
    for entry in entries {
        let path = entry.during("list", folder)?.path();
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}
