//! Tables that must have the same rows: the catalog and its copy, the requests of a CA and their certificates.

use super::Walk;
use super::fault::{Problem, TreeKind, name};
use super::tables::{Mark, Rows};
use super::tally::Tally;
use crate::catalog::{CATALOG_OBJECT, CATALOG_ROOT, Catalog, SHADOW_OBJECT, TableDefinition};
use crate::error::Error;
use crate::pager::Pager;
use crate::table::Table;

/// Dispositions of requests that have a certificate: issued and revoked (ese.md 12).
const WITH_CERTIFICATE: &[i32] = &[20, 21];

/// The table of all objects there are, which newer databases have.
const OBJECTS: &str = "MSysObjids";

impl<P: Pager> Walk<'_, P> {
    /// Walks the trees of all tables, and compares tables with each other.
    pub(super) fn tables(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let (mut original, mut shadow, mut requests, mut certificates) = (None, None, None, None);
        let mut objects = None;
        // Other programs have tables of the names of a CA's, too.
        let is_ca = catalog.table("CertificateExtensions").is_ok();
        for table in catalog.tables().iter().filter(|table| table.root != 0) {
            let mark = if is_ca { mark_of(table) } else { None };
            let rows = self.table(table, mark.as_ref())?;
            self.summary.rows += rows.keys.count;
            let kept = match (table.object_id, mark) {
                (CATALOG_OBJECT, _) => &mut original,
                (SHADOW_OBJECT, _) => &mut shadow,
                (_, Some(Mark::OneOf(..))) => &mut requests,
                (_, Some(Mark::Present(_))) => &mut certificates,
                _ if table.name.eq_ignore_ascii_case(OBJECTS) => &mut objects,
                _ => continue,
            };
            *kept = Some((table, rows));
        }
        let differs = match (original, shadow) {
            (Some((_, original)), Some((_, shadow))) if original.whole && shadow.whole => {
                if original.keys != shadow.keys {
                    Some(Problem::ShadowCatalog)
                } else {
                    (original.data != shadow.data).then_some(Problem::ShadowCatalogRows)
                }
            }
            (Some(_), Some(_)) => None,
            // Both stand in the catalog of every database.
            _ => Some(Problem::ShadowCatalog),
        };
        if let Some(problem) = differs {
            self.walker.add(&name(TreeKind::Rows, "MSysObjects", ""), CATALOG_ROOT, problem);
        }
        if let Some((table, rows)) = objects
            && rows.whole
            && rows.keys != objects_of(catalog)
        {
            self.walker.add(&name(TreeKind::Rows, &table.name, ""), table.root, Problem::Objects);
        }
        if let (Some(requests), Some(certificates)) = (requests, certificates) {
            self.pairs(&requests, &certificates)?;
        }
        Ok(())
    }

    /// Every request has a row among the certificates, with a certificate where one was issued.
    fn pairs(
        &mut self,
        (requests, request_rows): &(&TableDefinition, Rows),
        (certificates, certificate_rows): &(&TableDefinition, Rows),
    ) -> Result<(), Error> {
        if !request_rows.whole || !certificate_rows.whole {
            return Ok(());
        }
        let name = name(TreeKind::Rows, &requests.name, "");
        if request_rows.keys != certificate_rows.keys {
            let problem = Problem::Unpaired {
                requests: request_rows.keys.count,
                certificates: certificate_rows.keys.count,
            };
            self.walker.add(&name, certificates.root, problem);
        }
        if request_rows.marked == certificate_rows.marked {
            return Ok(());
        }
        // Certificates of the CA itself differ, too: each request is looked up.
        let database = self.walker.database;
        let requests = Table::new(database, (*requests).clone());
        let certificates = Table::new(database, (*certificates).clone());
        let (mut without, mut first) = (0, 0);
        for row in requests.rows() {
            let Ok(row) = row else { return Ok(()) };
            let number = |column| row.by_name(column).ok().and_then(|value| value.integer());
            let (Some(id), Some(disposition)) = (number("RequestID"), number("Disposition")) else {
                continue;
            };
            let issued = WITH_CERTIFICATE.iter().any(|known| i64::from(*known) == disposition);
            if issued && !certificates.has_value(id, "RawCertificate")? {
                without += 1;
                first = if without == 1 { id } else { first };
            }
        }
        if without != 0 {
            let root = certificates.definition().root;
            self.walker.add(&name, root, Problem::NoCertificate { requests: without, first });
        }
        Ok(())
    }
}

/// The keys of all objects that the catalog knows.
fn objects_of(catalog: &Catalog) -> Tally {
    let mut keys = Tally::default();
    for table in catalog.tables() {
        let indexes = table.indexes.iter().filter(|index| !index.is_primary()).map(|index| index.object_id);
        for object in indexes.chain([table.object_id]).chain(table.long_values_object) {
            keys.add(&[&[0x7F][..], &(object ^ 1 << 31).to_be_bytes()].concat());
        }
    }
    keys
}

/// Which rows of a table of a CA are to be found in its other table.
fn mark_of(table: &TableDefinition) -> Option<Mark> {
    let is = |name: &str| table.name.eq_ignore_ascii_case(name);
    if is("Requests") {
        Some(Mark::OneOf(table.column("Disposition")?.clone(), WITH_CERTIFICATE))
    } else if is("Certificates") {
        Some(Mark::Present(table.column("RawCertificate")?.clone()))
    } else {
        None
    }
}
