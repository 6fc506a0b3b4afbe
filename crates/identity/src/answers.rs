//! Whoever can be asked about a CA.

use certadm_rules::Hresult;
use certadm_wire::csra::Variant;

/// A key of the CA's configuration (recovery.md 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKey<'a> {
    /// `Configuration` itself, above the key of the CA.
    Top,
    /// The key of the CA of this name; with a node, a key below it.
    Ca {
        /// The name of the CA.
        name: &'a str,
        /// The way from the CA's key, with `\` between the names; empty for that key itself.
        node: &'a str,
    },
}

/// What a CA says of itself: a connection to it, or its folder.
pub trait Answers {
    /// GetCAProperty: the value of a property as it travels (wire.md 5.12). A CRL may have up to `most` bytes, however many
    /// these are.
    ///
    /// # Errors
    /// [`Refusal`]; a larger answer may cost the connection.
    fn property(&mut self, id: i32, index: i32, kind: i32, most: usize) -> Result<Vec<u8>, Refusal>;

    /// GetConfigEntry: a value of the configuration; for an empty `entry` the names of all values of the key.
    ///
    /// # Errors
    /// [`Refusal`].
    fn config(&mut self, key: ConfigKey<'_>, entry: &str) -> Result<Variant, Refusal>;
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The CA's code, or that of the failure.
    pub code: Hresult,
    /// What happened.
    pub text: String,
    /// No further question can be asked: the connection is gone.
    pub is_final: bool,
}

impl Refusal {
    /// The CA refused by this code.
    pub fn of_code(code: Hresult) -> Self {
        Self { code, text: code.to_string(), is_final: false }
    }
}
