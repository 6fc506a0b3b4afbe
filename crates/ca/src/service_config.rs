//! `[service]` of `ca.toml`: what the service lets its callers do at all.

use std::fmt;

use serde::Deserialize;

/// `[service]`: calls that cannot be taken back (spec/wire.md 7, item 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceConfig {
    /// Which administrators and operators may stop the service over the protocol (ServerControl).
    pub shutdown: Shutdown,
    /// Whether operators may have logs deleted that their backup made redundant (BackupTruncateLogs).
    pub truncation: bool,
}

impl Default for ServiceConfig {
    /// Whoever holds an account for backups does not stop the CA with it. A Windows CA lets all of them do both.
    fn default() -> Self {
        Self { shutdown: Shutdown::Local, truncation: true }
    }
}

/// Who may stop the service over the protocol, of those who have the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ShutdownSetting")]
pub enum Shutdown {
    /// Nobody; `false`.
    Nobody,
    /// Callers of the Unix socket; `"local"`.
    Local,
    /// Callers over the network as well; `true`.
    Everybody,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ShutdownSetting {
    Switch(bool),
    Word(ShutdownWord),
}

#[derive(Deserialize)]
enum ShutdownWord {
    #[serde(rename = "local")]
    Local,
}

impl From<ShutdownSetting> for Shutdown {
    fn from(setting: ShutdownSetting) -> Self {
        match setting {
            ShutdownSetting::Switch(true) => Self::Everybody,
            ShutdownSetting::Switch(false) => Self::Nobody,
            ShutdownSetting::Word(ShutdownWord::Local) => Self::Local,
        }
    }
}

impl fmt::Display for Shutdown {
    /// As `ca.toml` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "false",
            Self::Local => "\"local\"",
            Self::Everybody => "true",
        })
    }
}
