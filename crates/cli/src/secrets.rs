//! Secrets come from a file, a descriptor or a prompt; never from the command line or the environment (invariant 10).

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use certadm_ca::Passphrase;
use certadm_client::credentials;
use certadm_files::IoContext;
use certadm_rules::printable::printable;
use clap::Args;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::terminal;

/// The number of an open descriptor.
pub(crate) type Descriptor = i32;

/// Where a passphrase comes from; a prompt on a terminal where neither is given.
#[derive(Debug, Args)]
pub(crate) struct PassphraseArgs {
    /// File that holds the passphrase of the CA's key; a newline at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Open descriptor to read the passphrase from
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<Descriptor>,
}

impl PassphraseArgs {
    /// Reads the passphrase.
    ///
    /// # Errors
    /// When the file or descriptor cannot be read, holds nothing usable, or when there is neither and no terminal to
    /// ask on.
    pub(crate) fn read(&self) -> Result<Passphrase, Failure> {
        self.read_with_prompt(false)
    }

    /// Reads the passphrase of a new key: a prompt asks twice.
    ///
    /// # Errors
    /// As [`PassphraseArgs::read`], and when the two answers differ.
    pub(crate) fn read_new(&self) -> Result<Passphrase, Failure> {
        self.read_with_prompt(true)
    }

    fn read_with_prompt(&self, twice: bool) -> Result<Passphrase, Failure> {
        let options = "--passphrase-file FILE or --passphrase-fd N";
        let file = self.passphrase_file.as_deref();
        read_passphrase(file, self.passphrase_fd, "Passphrase of the CA's key: ", options, twice)
    }
}

/// Where the passphrases of several keys come from.
#[derive(Debug, Args)]
pub(crate) struct PassphrasesArgs {
    /// File that holds the passphrase of the keys; once for all of them, or once for each --key in the same order. A newline
    /// at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    passphrase_file: Vec<PathBuf>,
    /// Open descriptor to read the one passphrase from
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<Descriptor>,
}

impl PassphrasesArgs {
    /// Whether a file or descriptor is named.
    pub(crate) fn is_given(&self) -> bool {
        !self.passphrase_file.is_empty() || self.passphrase_fd.is_some()
    }

    /// Reads the passphrases of so many keys: one for each.
    ///
    /// # Errors
    /// As [`PassphraseArgs::read`], and when there are neither one nor as many as keys.
    pub(crate) fn read(&self, keys: usize) -> Result<Passphrases, Failure> {
        match self.passphrase_file.as_slice() {
            files if files.len() <= 1 => {
                let (passphrase_file, passphrase_fd) = (files.first().cloned(), self.passphrase_fd);
                Ok(Passphrases(vec![PassphraseArgs { passphrase_file, passphrase_fd }.read()?]))
            }
            files if files.len() == keys => {
                let read = |file: &PathBuf| {
                    warn_if_exposed(file);
                    Ok(Passphrase::from_file(file)?)
                };
                Ok(Passphrases(files.iter().map(read).collect::<Result<_, Failure>>()?))
            }
            files => {
                let text = format!("there are {keys} keys, and {} files with passphrases", files.len());
                Err(Failure::usage(
                    text,
                    "give one --passphrase-file for all keys, or one for each in their order",
                ))
            }
        }
    }
}

/// The passphrases of several keys.
pub(crate) struct Passphrases(Vec<Passphrase>);

impl Passphrases {
    /// That of the key at this place.
    pub(crate) fn of(&self, place: usize) -> &Passphrase {
        // There is at least one.
        self.0.get(place).unwrap_or(&self.0[0])
    }
}

/// Reads a passphrase: from the file, from the descriptor, or, on a terminal, by a prompt. `options` names the two options.
///
/// # Errors
/// As [`PassphraseArgs::read`].
pub(crate) fn read_passphrase(
    file: Option<&Path>,
    descriptor: Option<Descriptor>,
    prompt: &str,
    options: &str,
    twice: bool,
) -> Result<Passphrase, Failure> {
    if let Some(path) = file {
        warn_if_exposed(path);
        return Ok(Passphrase::from_file(path)?);
    }
    if let Some(descriptor) = descriptor {
        return Ok(Passphrase::from_reader(open_descriptor(descriptor)?)?);
    }
    if !terminal::can_ask() {
        let text = "there is no passphrase, and no terminal to ask on";
        return Err(Failure::usage(text, format!("give {options}")));
    }
    let first = Zeroizing::new(ask(prompt)?);
    if twice && *Zeroizing::new(ask("Once more: ")?) != *first {
        return Err(Failure::usage("the two passphrases differ", "type the same one twice"));
    }
    Ok(Passphrase::new(first.as_bytes().to_vec())?)
}

/// How a password is asked for on a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prompt<'a> {
    /// The password that somebody has: of this account.
    Known(&'a str),
    /// One that he makes up, and types twice.
    New,
}

/// Asks on the terminal, without showing what is typed.
///
/// # Errors
/// Usage where the input ends without an answer; [`certadm_files::Error::Io`].
fn ask(text: &str) -> Result<String, Failure> {
    match rpassword::prompt_password(text) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(Failure::usage("nothing was answered on the terminal", "start again, and type it"))
        }
        answer => Ok(answer.during("ask on", Path::new("the terminal"))?),
    }
}

/// Another descriptor for what the caller has open, so that his own stays open: it goes on where that is. Where the system gives
/// none, what is open is opened by its name.
///
/// # Errors
/// When there is no such descriptor; always on Windows, whose programs are handed none by number.
pub(crate) fn open_descriptor(descriptor: Descriptor) -> Result<File, Failure> {
    if cfg!(unix) {
        let path = PathBuf::from(format!("/dev/fd/{descriptor}"));
        // Before another one gets this number.
        path.symlink_metadata().during("open", &path)?;
        #[cfg(target_os = "linux")]
        if let Some(file) = second(descriptor) {
            return Ok(file);
        }
        return Ok(File::open(&path).during("open", &path)?);
    }
    Err(Failure::usage("descriptors have no numbers on this system", "give a file instead"))
}

/// A name below `/dev/fd` opens a file anew, from its beginning and with the rights of this account: only root may have been allowed
/// to open it, and a socket cannot be opened at all.
#[cfg(target_os = "linux")]
fn second(descriptor: Descriptor) -> Option<File> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let own = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    pidfd_getfd(own, descriptor, PidfdGetfdFlags::empty()).ok().map(File::from)
}

/// Warns of a file with a secret that other accounts can read. It is used all the same: refusing it would keep no secret.
pub(crate) fn warn_if_exposed(path: &Path) {
    if certadm_files::is_exposed(path) {
        let path = path.display().to_string();
        let path = printable(&path);
        terminal::tell(format_args!("warning: others can read {path}: give it mode 0600 (chmod 600)\n"));
    }
}

/// Reads the password of an account: from the file, from the descriptor, or, on a terminal, from a prompt.
///
/// # Errors
/// When the file or descriptor cannot be read, when there is neither and no terminal to ask on, when the two answers
/// differ, and for what can be nobody's password: [`certadm_client::credentials::read_password`].
pub(crate) fn read_password(
    file: Option<&Path>,
    descriptor: Option<Descriptor>,
    prompt: Prompt<'_>,
) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        warn_if_exposed(path);
        return Ok(credentials::read_password(
            File::open(path).during("open", path)?,
            &path.display().to_string(),
        )?);
    }
    if let Some(descriptor) = descriptor {
        let file = open_descriptor(descriptor)?;
        return Ok(credentials::read_password(file, &format!("descriptor {descriptor}"))?);
    }
    if !terminal::can_ask() {
        return Err(Failure::usage(
            "there is no password, and no terminal to ask on",
            "give --password-file FILE or --password-fd N",
        ));
    }
    let text = match prompt {
        Prompt::Known(account) => format!("Password of {account}: "),
        Prompt::New => "Password of the account: ".to_owned(),
    };
    let first = Zeroizing::new(ask(&text)?);
    if matches!(prompt, Prompt::New) && *Zeroizing::new(ask("Once more: ")?) != *first {
        return Err(Failure::usage("the two passwords differ", "type the same one twice"));
    }
    Ok(credentials::read_password(first.as_bytes(), "the prompt")?)
}
