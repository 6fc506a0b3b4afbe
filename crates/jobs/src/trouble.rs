//! What is wrong, and which trouble it is: an alarm about it goes on as long as it is the same one.

use certadm_rules::diagnosis::{Class, chain_of};
use certadm_rules::{Diagnosis, Hresult};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The finding that logs are missing before those of a set that was stored just now.
pub(crate) const TORN: &str = "logs-torn";

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Which one it is. It stays the same while it goes on, though numbers in the message change. Empty where a program of before has
    /// noted it.
    #[serde(default)]
    pub id: String,
    /// The HRESULT, such as `0x80070005`.
    pub code: String,
    /// The kind of the finding, or the class of the failure.
    pub kind: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The set that it is about.
    #[serde(default, skip_serializing_if = "OfSet::is_untold")]
    pub set: OfSet,
}

/// Which set something is about that a command found or failed for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OfSet {
    /// About none, or about none that is known.
    NoSet,
    /// About this one: its folder, or its address in a repository, as the command named it.
    Named(String),
    /// A program of before has not said it.
    #[default]
    #[serde(skip)]
    Untold,
}

impl OfSet {
    /// What an error or a finding of a command says of it (docs/json.md).
    #[must_use]
    pub fn of(object: &Value) -> Self {
        match object.get("set") {
            None => Self::Untold,
            Some(set) => set.as_str().map_or(Self::NoSet, |set| Self::Named(set.to_owned())),
        }
    }

    fn is_untold(&self) -> bool {
        *self == Self::Untold
    }
}

impl Trouble {
    /// Whether it tells of logs that a full backup does not bring back: it stays until a backup of logs has none missing.
    pub(crate) fn is_torn(&self) -> bool {
        self.id == TORN
    }

    /// Which failure it is that has this code. The system has many codes for what cannot be reached, and that is one trouble.
    #[must_use]
    pub fn id_of(class: Class, code: &str) -> String {
        if class == Class::Unreachable { class.to_string() } else { code.to_owned() }
    }

    /// Which one it is, also where a program of before has noted it.
    #[must_use]
    pub fn which(&self) -> String {
        match (self.id.as_str(), self.kind.as_str()) {
            ("", "failure") => self.code.clone(),
            ("", kind) => format!("{kind}:{}", self.code),
            (id, _) => id.to_owned(),
        }
    }

    /// Whether its code is this one.
    #[must_use]
    pub fn has_code(&self, code: Hresult) -> bool {
        self.code == code.hex()
    }

    /// The same, met with when this was looked at.
    #[must_use]
    pub fn met_at(self, what: &str) -> Self {
        Self { id: format!("{what}/{}", self.which()), ..self }
    }

    /// Records that are there and cannot be read: nobody knows `what` they have.
    pub(crate) fn of_unread<E: Diagnosis>(id: &str, what: &str, error: &E, remedy: String) -> Self {
        Self {
            id: id.to_owned(),
            code: error.hresult().hex(),
            kind: error.class().to_string(),
            message: format!("{what}: {}", chain_of(error)),
            remedy: Some(remedy),
            set: OfSet::NoSet,
        }
    }

    /// A failure with a code, which tells its class.
    #[must_use]
    pub fn of_code(code: Hresult, message: String, remedy: &str) -> Self {
        let text = code.hex();
        Self {
            id: Self::id_of(code.class(), &text),
            code: text,
            kind: code.class().to_string(),
            message,
            remedy: Some(remedy.to_owned()),
            set: OfSet::NoSet,
        }
    }
}
