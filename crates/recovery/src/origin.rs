//! Where it is known from that a certificate is revoked.

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The database.
    Database,
    /// A published CRL.
    Published,
    /// It was asked for now, or in an earlier emergency CRL.
    Order,
}

impl Origin {
    /// Its name in `report.json`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Published => "published",
            Self::Order => "order",
        }
    }
}
