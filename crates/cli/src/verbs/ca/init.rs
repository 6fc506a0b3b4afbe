//! `certadm ca init` and `certadm ca import`.

use std::path::PathBuf;

use certadm_ca::{Authority, CaName, Config, Initialized, KeyType, Role};
use certadm_store::Folder;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::secrets::PassphraseArgs;
use crate::verbs::files::{read_input, refuse_wrong_place};
use crate::verbs::live;

/// `certadm ca init`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm ca init --dir /srv/ca --name 'Example CA' --passphrase-file /root/ca.pass"
)]
pub(crate) struct InitArgs {
    /// The new CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The CA's common name
    #[arg(long)]
    name: String,
    /// The rest of its distinguished name, such as O=Example,C=DE
    #[arg(long, value_name = "DN")]
    subject_suffix: Option<String>,
    /// The kind of its key
    #[arg(long, value_enum, default_value = "p256")]
    key: KeyArg,
    /// Days its own certificate is valid; 3652 if left out
    #[arg(long, value_name = "N", conflicts_with = "subordinate", allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(certadm_ca::MAX_DAYS)))]
    days: Option<u32>,
    /// Write a request for a parent instead of a self-signed certificate
    #[arg(long)]
    subordinate: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Kinds of key, as [`KeyType`] has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyArg {
    /// ECDSA on P-256
    P256,
    /// ECDSA on P-384
    P384,
    /// RSA with 3072 bits
    Rsa3072,
    /// RSA with 4096 bits
    Rsa4096,
}

impl From<KeyArg> for KeyType {
    fn from(key: KeyArg) -> Self {
        match key {
            KeyArg::P256 => Self::P256,
            KeyArg::P384 => Self::P384,
            KeyArg::Rsa3072 => Self::Rsa3072,
            KeyArg::Rsa4096 => Self::Rsa4096,
        }
    }
}

pub(crate) fn run(args: &InitArgs, output: Output) -> Result<Done, Failure> {
    refuse_wrong_place(&args.dir)?;
    let mut config = Config::new(args.name.parse::<CaName>()?, args.key.into());
    config.subject_suffix.clone_from(&args.subject_suffix);
    if let Some(days) = args.days {
        config.validity.ca_days = days;
    }
    let folder = Folder::new(&args.dir);
    let role = if args.subordinate { Role::Subordinate } else { Role::Root };
    let made = Authority::init(&folder, &config, role, &args.passphrase.read_new()?, certadm_store::now())?;
    let mut result = json!({
        "dir": path_text(folder.path()),
        "name": config.name.as_str(),
        "key": config.key.as_str(),
        "configuration": path_text(&folder.config_path()),
        "request": null,
        "certificate": null,
        "serial_number": null,
        "subject": null,
        "not_after": null,
        "crl": null,
    });
    match &made {
        Initialized::Root(authority) => {
            output.line(format!("The CA {:?} is in {}.", config.name.as_str(), folder.path().display()));
            describe(authority, &mut result, &folder, output);
        }
        Initialized::Subordinate { request } => {
            output.line(format!("The CA {:?} waits for its parent.", config.name.as_str()));
            output
                .line(format!("Have {} signed, then: certadm ca import --dir DIR CERT.", request.display()));
            result["request"] = json!(path_text(request));
        }
    }
    output.line(format!(
        "Keep a copy of {} and its passphrase: no backup set holds them.",
        folder.key_path().display()
    ));
    Ok(Done::good(result))
}

/// `certadm ca import`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm ca import --dir /srv/subca --passphrase-file /root/subca.pass subca.crt"
)]
pub(crate) struct ImportArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The parent's answer, PEM or DER, alone or with its chain; or the certificate of a CA that was renewed with its key
    #[arg(value_name = "CERT")]
    certificate: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Room for a chain of certificates.
const MAX_CERTIFICATE: u64 = 1 << 20;

pub(crate) fn import(args: &ImportArgs, output: Output) -> Result<Done, Failure> {
    let folder = Folder::new(&args.dir);
    let is_renewed = folder.certificate_path().exists();
    let answer = read_input(&args.certificate, MAX_CERTIFICATE)?;
    let authority =
        Authority::import_certificate(&folder, &answer, &args.passphrase.read()?, certadm_store::now())?;
    let mut result = json!({ "dir": path_text(folder.path()) });
    let name = authority.config().name.as_str();
    output.line(match is_renewed {
        false => format!("The CA {name:?} can issue now."),
        true => format!("The CA {name:?} goes on with its renewed certificate."),
    });
    describe(&authority, &mut result, &folder, output);
    if is_renewed {
        output.line("Take a backup now: those before it do not know the certificate.");
    }
    Ok(live::finish(&folder, Done::good(result), output))
}

fn describe(authority: &Authority, result: &mut Value, folder: &Folder, output: Output) {
    let (_, not_after) = authority.validity();
    let not_after = not_after.to_rfc3339();
    let certificate = folder.certificate_path();
    output.line(format!("Its certificate {} is valid until {not_after}.", certificate.display()));
    result["certificate"] = json!(path_text(&certificate));
    result["serial_number"] = json!(authority.serial().as_str());
    result["subject"] = json!(authority.distinguished_name());
    result["not_after"] = json!(not_after);
    result["crl"] = json!(path_text(&authority.crl_path()));
}
