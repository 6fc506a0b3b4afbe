//! `certadm.toml` as it is written. What a value can be is decided here; what it refers to, in `mod.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use certadm_files::Pace;
use certadm_repository::{Keep, Profiles};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::mail::Protection;
use super::name::Name;
use crate::schedule::Schedule;
use crate::span::Seconds;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    /// Of which file this is a copy.
    pub(super) copy_of: Option<PathBuf>,
    /// Where records of runs are kept.
    pub(super) state: Option<PathBuf>,
    /// How many CAs are worked on at the same time.
    pub(super) at_once: Option<Spanned<u8>>,
    /// How long a run of the agent may take.
    pub(super) time_limit: Option<Spanned<Seconds>>,
    /// How long to wait before a step that was busy or unreachable is tried again, each time.
    pub(super) retry_after: Option<Vec<Spanned<Seconds>>>,
    pub(super) agent: Option<Spanned<Agent>>,
    #[serde(default)]
    pub(super) defaults: Defaults,
    #[serde(default)]
    pub(super) ca: BTreeMap<Name, Spanned<Ca>>,
    #[serde(default)]
    pub(super) repository: Profiles,
    #[serde(default)]
    pub(super) job: BTreeMap<Name, Spanned<Job>>,
    #[serde(default)]
    pub(super) notify: BTreeMap<Name, Spanned<Notify>>,
}

/// `[agent]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Agent {
    pub(super) listen: Option<SocketAddr>,
    pub(super) socket: Option<PathBuf>,
    pub(super) group: Option<String>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
}

/// What counts where a CA or a job does not say otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Defaults {
    pub(super) ca: Ca,
    pub(super) job: Job,
}

/// Makes a struct whose fields are all options, and `or`, which fills those that are empty.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident { $( $field:ident: $kind:ty, )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
        pub(super) struct $name { $( pub(super) $field: Option<$kind>, )* }

        impl $name {
            /// This, with what `other` says where this says nothing.
            pub(super) fn or(self, other: &Self) -> Self {
                Self { $( $field: self.$field.or_else(|| other.$field.clone()), )* }
            }
        }
    };
}

options! {
    /// `[ca.NAME]`
    Ca {
        dir: PathBuf,
        server: String,
        socket: PathBuf,
        name: String,
        user: String,
        password_file: PathBuf,
        keytab: PathBuf,
        ticket_cache: PathBuf,
        mechanism: String,
        realm: String,
        kdc: Words,
        key: Words,
        passphrase_file: PathBuf,
        external_key: bool,
        identity: PathBuf,
    }
}

options! {
    /// `[job.NAME]`
    Job {
        ca: Spanned<Words>,
        to: Spanned<Words>,
        full: Schedule,
        logs: Schedule,
        verify: Schedule,
        rehearse: Schedule,
        complete: Schedule,
        keep: Spanned<Keep>,
        evidence: PathBuf,
        scratch: PathBuf,
        sign_key: PathBuf,
        sign_passphrase_file: PathBuf,
        allowed_signers: PathBuf,
        rpo: Spanned<Seconds>,
        rto: Spanned<Seconds>,
        crl: Spanned<Seconds>,
        certificate: Spanned<Seconds>,
        bandwidth: Speed,
        sha256: bool,
        notify: Spanned<Words>,
    }
}

/// Bytes a second, such as `10MiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Speed(pub(super) u64);

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match certadm_repository::speed(&String::deserialize(from)?) {
            Ok(speed @ Pace::SLOWEST..) => Ok(Self(speed)),
            Ok(_) => Err(de::Error::custom("a speed is 16KiB/s at least")),
            Err(text) => Err(de::Error::custom(text)),
        }
    }
}

/// `[notify.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Notify {
    pub(super) command: Option<Words>,
    pub(super) webhook: Option<String>,
    pub(super) webhook_file: Option<PathBuf>,
    pub(super) ping: Option<String>,
    pub(super) ping_file: Option<PathBuf>,
    pub(super) mail: Option<Mail>,
    pub(super) journal: Option<Socket>,
    pub(super) syslog: Option<Socket>,
    pub(super) event_log: Option<bool>,
}

/// `mail` of `[notify.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Mail {
    pub(super) server: String,
    pub(super) port: Option<u16>,
    pub(super) tls: Option<Protection>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) from: String,
    pub(super) to: Words,
}

/// `true`, or where the log of this machine listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Socket {
    /// Where it usually is, or not at all.
    Usual(bool),
    /// Here.
    At(PathBuf),
}

impl Socket {
    pub(super) fn path(self, usual: &str) -> Option<PathBuf> {
        match self {
            Self::Usual(is_wished) => is_wished.then(|| PathBuf::from(usual)),
            Self::At(path) => Some(path),
        }
    }
}

/// One word, or several in brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a list of words")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Words, A::Error> {
                let mut all = Vec::new();
                while let Some(word) = words.next_element()? {
                    all.push(word);
                }
                Ok(Words(all))
            }
        }
        from.deserialize_any(OneOrMany)
    }
}
