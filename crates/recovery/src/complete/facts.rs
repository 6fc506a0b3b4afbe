//! What a verdict needs of a database beside what a CRL needs: templates in use, archived keys.

use std::collections::BTreeSet;

use certadm_ca::dates;
use certadm_ese::Database;
use certadm_ese::column::Value;
use certadm_ese::pager::Pager;
use certadm_rules::FileTime;

use crate::error::Result;

/// More names are not told apart.
const MAX_NAMES: usize = 10_000;

/// What else a database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The templates of the certificates that began to be valid in the last year, by name or object identifier.
    pub templates: BTreeSet<String>,
    /// Whether private keys are archived in it.
    pub archives_keys: bool,
}

impl Facts {
    /// Reads the tables Requests and Certificates of a Windows CA. What cannot be read is passed over.
    ///
    /// # Errors
    /// [`Error::Windows`](crate::Error::Windows) when a table is missing.
    pub fn of_windows<P: Pager>(database: &Database<P>, now: FileTime) -> Result<Self> {
        let mut facts = Self::default();
        let year_ago = dates::plus_minutes(now, -366 * 24 * 60);
        let certificates = database.table("Certificates")?;
        if let (Ok(template), Ok(begins)) =
            (certificates.column("CertificateTemplate"), certificates.column("NotBefore"))
        {
            for row in certificates.rows().flatten() {
                let is_new = match row.value(begins) {
                    Ok(Value::DateTime(ticks)) => year_ago <= FileTime::from_bits(ticks),
                    _ => false,
                };
                if let (true, Ok(Value::Text(name))) =
                    (is_new && facts.templates.len() < MAX_NAMES, row.value(template))
                {
                    facts.templates.insert(name);
                }
            }
        }
        let requests = database.table("Requests")?;
        if let Ok(hashes) = requests.column("KeyRecoveryHashes") {
            let has = |row: &certadm_ese::table::Row<'_, '_, P>| matches!(row.value(hashes), Ok(Value::Text(text)) if !text.is_empty());
            facts.archives_keys = requests.rows().flatten().any(|row| has(&row));
        }
        Ok(facts)
    }
}
