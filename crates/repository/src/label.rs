//! What is written beside a new key of a repository.

use rustic_core::KeyOptions;

/// What a key says of itself, for those who look at the list of keys. It is not encrypted.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// The host on which it is made.
    pub host: &'a str,
    /// What it is.
    pub user: &'a str,
}

impl Label<'_> {
    pub(crate) fn options(&self) -> KeyOptions {
        let (host, user) = (self.host.to_owned(), self.user.to_owned());
        KeyOptions::default().hostname(host).username(user).with_created(true)
    }
}
