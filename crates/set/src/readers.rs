//! Who may read a set.

/// Who may read a set, on systems with modes: a set holds every request, with what is in it about people and machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    /// The owner alone: folders have mode 0700, files 0600.
    #[default]
    Owner,
    /// The owner's group too: 0750 and 0640.
    Group,
    /// Everybody, within the umask: 0755 and 0644.
    All,
}

impl Readers {
    /// The mode of the set's folder; what is in it follows.
    #[cfg(unix)]
    pub(crate) const fn folder_mode(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o750,
            Self::All => 0o755,
        }
    }
}
