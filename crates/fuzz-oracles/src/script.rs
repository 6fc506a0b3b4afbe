//! An input as a sequence of decisions: each takes a few octets from the front, so that a seed can be written by hand and
//! a mutation of one decision leaves the others as they are.

use arbitrary::Unstructured;

/// What is left of an input. At its end every decision is 0.
#[derive(Debug)]
pub(crate) struct Script<'a>(Unstructured<'a>);

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// One octet.
    pub(crate) fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// Two octets, the lower one first.
    pub(crate) fn word(&mut self) -> u16 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// One of `choices`, by one octet.
    pub(crate) fn choose<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[usize::from(self.byte()) % choices.len()]
    }

    /// A length in one octet, and as many octets as there are of them.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        self.0.bytes(length).unwrap_or_default()
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let length = self.0.len();
        self.0.bytes(length).unwrap_or_default()
    }
}
