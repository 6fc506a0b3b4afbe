//! What a person types: serial numbers and revocation reasons, with the error that says what is wrong.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::serial::Serial;

impl FromStr for Serial {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| Error::BadSerial { text: text.into() })
    }
}

impl FromStr for Reason {
    type Err = Error;

    /// A name of RFC 5280 in any case, or its number.
    fn from_str(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| Error::BadReason { text: text.into() })
    }
}
