//! What a command ends with: an exit code, and on failure one clear message with cause, code and remedy.

use std::fmt;

use certadm_rules::diagnosis::{Class, chain_of};
use certadm_rules::{Diagnosis, Hresult};
use serde_json::{Value, json};

use crate::interrupt;

/// Exit codes; docs/json.md and the manual page list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything went well.
    Good = 0,
    /// Done, with something to look into.
    Finding = 1,
    /// The command line or a configuration file is wrong.
    Usage = 2,
    /// Refused: by a rule, a state, a missing right or the system.
    Refused = 3,
    /// The CA cannot be reached.
    Unreachable = 4,
    /// Something is damaged or does not fit together.
    Damaged = 5,
    /// A mistake in this program (EX_SOFTWARE of sysexits.h).
    Internal = 70,
    /// Interrupted (what a shell reports of a command that SIGINT ended).
    Interrupted = 130,
    /// Ended by SIGTERM, likewise.
    Terminated = 143,
}

impl Exit {
    /// What is done with warnings has something to look into.
    pub(crate) const fn of_warnings(warnings: &[String]) -> Self {
        if warnings.is_empty() { Self::Good } else { Self::Finding }
    }
}

impl From<Class> for Exit {
    fn from(class: Class) -> Self {
        match class {
            Class::Usage => Self::Usage,
            Class::Refused => Self::Refused,
            Class::Unreachable => Self::Unreachable,
            Class::Damaged => Self::Damaged,
            Class::Internal => Self::Internal,
            Class::Interrupted if interrupt::by_sigterm() => Self::Terminated,
            Class::Interrupted => Self::Interrupted,
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: Hresult,
    pub(crate) remedy: String,
    pub(crate) exit: Exit,
    /// What was done before it failed, in the form of the command's result: JSON has it beside the error.
    pub(crate) done: Option<Box<Value>>,
    /// The set that it is about, where it is known to be about one.
    pub(crate) set: Option<String>,
}

impl Failure {
    /// A command line that cannot be obeyed, and one that can.
    pub(crate) fn usage(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: Hresult::E_INVALIDARG,
            remedy: remedy.into(),
            exit: Exit::Usage,
            done: None,
            set: None,
        }
    }

    /// The failure of a command that had done this much of its work.
    #[must_use]
    pub(crate) fn having(self, done: Value) -> Self {
        Self { done: Some(Box::new(done)), ..self }
    }

    /// Something that only a mistake in this program can bring about.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let code = Hresult::ERROR_INTERNAL_ERROR;
        Self {
            message: message.into(),
            code,
            remedy: code.remedy().into_owned(),
            exit: Exit::Internal,
            done: None,
            set: None,
        }
    }

    /// The failure as the JSON contract has it (docs/json.md, "An error").
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "code": self.code.hex(),
            "name": self.code.name(),
            "message": self.message,
            "remedy": self.remedy,
            "set": self.set,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl<E: Diagnosis> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            message: chain_of(&error),
            code: error.hresult(),
            remedy: error.remedy().into_owned(),
            exit: error.class().into(),
            done: None,
            set: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/json.md promises these numbers.
    #[test]
    fn every_class_has_its_exit_code() {
        let numbers = Class::ALL.map(|class| (class.to_string(), Exit::from(class) as u8));
        let promised = [
            ("usage", 2),
            ("refused", 3),
            ("unreachable", 4),
            ("damaged", 5),
            ("internal", 70),
            ("interrupted", 130),
        ];
        assert_eq!(numbers, promised.map(|(class, number)| (class.to_owned(), number)));
    }
}
