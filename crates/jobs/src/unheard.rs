//! Why somebody has not heard of an alarm.

/// Why somebody has not heard something.
#[derive(Debug)]
pub(crate) enum Unheard {
    /// Nobody answers there: with anything else it would be the same, and would take as long.
    Silent(String),
    /// Somebody answers, and does not take this.
    Refused(String),
}

impl Unheard {
    /// A sentence.
    pub(crate) fn why(self) -> String {
        let (Self::Silent(why) | Self::Refused(why)) = self;
        why
    }
}

impl From<String> for Unheard {
    fn from(why: String) -> Self {
        Self::Silent(why)
    }
}
