//! What became of each of several things that one command works on.

use serde_json::Value;

use crate::failure::Failure;

/// What became of several repositories, or of several sets.
#[derive(Default)]
pub(crate) struct Each {
    /// One for each that had its turn. That of one which failed has the error, and what was done before it.
    pub(crate) results: Vec<Value>,
    /// The first failure; the one that ended the command, where there was one.
    pub(crate) failed: Option<Failure>,
}

impl Each {
    /// Notes a failure after which the others have their turn.
    pub(crate) fn fails(&mut self, result: Value, failure: Failure) {
        self.note(result, &failure);
        self.failed.get_or_insert(failure);
    }

    /// Notes a failure after which no other has its turn.
    pub(crate) fn ends(&mut self, result: Value, failure: Failure) {
        self.note(result, &failure);
        self.failed = Some(failure);
    }

    fn note(&mut self, mut result: Value, failure: &Failure) {
        result["error"] = failure.to_json();
        self.results.push(result);
    }
}
