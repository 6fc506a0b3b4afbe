//! Spans of time as settings.

pub use certadm_rules::span::{exact as span_text, span};
use serde::{Deserialize, Deserializer};

/// A span of time as a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        span(&String::deserialize(from)?).map(Self).map_err(serde::de::Error::custom)
    }
}
