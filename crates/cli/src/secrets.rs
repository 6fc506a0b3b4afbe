//! Secrets come from a file, a descriptor or a prompt; never from the command line or the environment (invariant 10).

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use certadm_ca::Passphrase;
use clap::Args;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The number of an open descriptor.
pub(crate) type Descriptor = i32;

/// The longest password of an account, in bytes.
const MAX_PASSWORD: usize = 1024;

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
        if let Some(path) = &self.passphrase_file {
            return Ok(Passphrase::from_file(path)?);
        }
        if let Some(descriptor) = self.passphrase_fd {
            return Ok(Passphrase::from_reader(open_descriptor(descriptor)?)?);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage("no passphrase: give --passphrase-file or --passphrase-fd"));
        }
        let first = Zeroizing::new(rpassword::prompt_password("Passphrase of the CA's key: ")?);
        if twice && *Zeroizing::new(rpassword::prompt_password("Once more: ")?) != *first {
            return Err(Failure::usage("the two passphrases differ"));
        }
        Ok(Passphrase::new(first.as_bytes().to_vec())?)
    }
}

/// Opens a descriptor of the caller by its name, so that his own stays open.
///
/// # Errors
/// When there is no such descriptor; always on Windows, whose programs are handed none by number.
pub(crate) fn open_descriptor(descriptor: Descriptor) -> Result<File, Failure> {
    if cfg!(unix) {
        return Ok(File::open(format!("/dev/fd/{descriptor}"))?);
    }
    Err(Failure::usage("descriptors have no numbers on this system: give a file instead"))
}

/// Reads the password of an account: from the file, from the descriptor, or, on a terminal, from a prompt that asks
/// twice.
///
/// # Errors
/// As [`PassphraseArgs::read_new`], and when it is empty or no UTF-8.
pub(crate) fn read_password(
    file: Option<&Path>,
    descriptor: Option<Descriptor>,
) -> Result<Zeroizing<String>, Failure> {
    let source = match (file, descriptor) {
        (Some(path), _) => Some(File::open(path)?),
        (None, Some(descriptor)) => Some(open_descriptor(descriptor)?),
        (None, None) => None,
    };
    let Some(source) = source else {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage("no password: give --password-file or --password-fd"));
        }
        let first = Zeroizing::new(rpassword::prompt_password("Password of the account: ")?);
        if *Zeroizing::new(rpassword::prompt_password("Once more: ")?) != *first {
            return Err(Failure::usage("the two passwords differ"));
        }
        return Ok(first);
    };
    // A password that does not fit is cut off by the reader, and then refused for its length.
    let mut text = Zeroizing::new(String::with_capacity(MAX_PASSWORD + 3));
    source.take(MAX_PASSWORD as u64 + 3).read_to_string(&mut text)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() || MAX_PASSWORD < password.len() || password.contains(['\n', '\0']) {
        return Err(Failure::usage(
            "the password is empty, longer than 1024 bytes, or has more than one line",
        ));
    }
    Ok(Zeroizing::new(password.to_owned()))
}
