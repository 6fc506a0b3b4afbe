//! Listing a database of a Windows CA: the views by name, and any table as it stands in the file.
//!
//! A view has the keys that our own sets have (docs/json.md), and behind them every further column of the file but the
//! long binary ones. Rows are printed as they are read.

use std::path::PathBuf;

use certadm_ese::ca::{Cell as ViewCell, Field, Meaning, View, ViewName};
use certadm_ese::column::Value;
use certadm_ese::pager::Pager;
use certadm_ese::{Code, Database};
use certadm_set::windows::{OpenedDatabase, WindowsSet, open_database, salvage_database};
use serde_json::json;

use super::columns::{self, Table};
use super::rows::{Listed, Lister, Stop};
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output};
use crate::table::{Cell, Column, Form};

/// What to list.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    /// A table under the name an administrator knows.
    View(Table),
    /// A table of the file.
    Table(&'a str),
}

/// A failure of the format while rows are read.
fn failed(error: certadm_ese::Error, sets: &[WindowsSet]) -> Failure {
    let path = sets.iter().find_map(|set| set.database.as_ref()).map(PathBuf::from).unwrap_or_default();
    let damaged =
        matches!(error.code(), Code::PAGE_CHECKSUM | Code::PAGE_NOT_INITIALIZED | Code::DATABASE_CORRUPTED);
    let mut failure = Failure::from(certadm_set::Error::Windows { path, source: error });
    if damaged {
        failure.remedy.push_str("; --salvage reads what is not on damaged pages");
    }
    failure
}

/// Lists what a recovery of these sets would give.
pub(super) fn list(
    lister: Lister<'_>,
    sets: &[WindowsSet],
    what: What<'_>,
    output: Output,
) -> Result<Done, Failure> {
    let opened = {
        let mut progress = output.progress_on_stderr();
        open_database(sets, &mut progress)?
    };
    list_opened(lister, sets, &opened, what, output)
}

/// The same with all that is not on damaged pages.
pub(super) fn salvage(
    lister: Lister<'_>,
    sets: &[WindowsSet],
    what: What<'_>,
    output: Output,
) -> Result<Done, Failure> {
    let opened = {
        let mut progress = output.progress_on_stderr();
        salvage_database(sets, &mut progress)?
    };
    if let Some(reason) = &opened.not_replayed {
        output.remark(&format!("not all of its logs were replayed: {reason}"));
    }
    let mut done = list_opened(lister, sets, &opened, what, output)?;
    let skipped = opened.database.skipped_pages();
    let rows = done.result["count"].as_u64().unwrap_or(0);
    output.remark(&format!("read {rows} rows; {skipped} pages in use cannot be read and were left out"));
    if skipped != 0 || opened.not_replayed.is_some() {
        done.exit = Exit::Finding;
    }
    Ok(done)
}

fn list_opened(
    mut lister: Lister<'_>,
    sets: &[WindowsSet],
    opened: &OpenedDatabase,
    what: What<'_>,
    output: Output,
) -> Result<Done, Failure> {
    if opened.is_stale {
        output
            .remark("the database was not closed cleanly; this is how the file lies there, without its logs");
    }
    let database = &opened.database;
    let mut unreadable = 0;
    let fail = |error| failed(error, sets);
    let (name, listed) = match what {
        What::Table(name) => (name.to_owned(), raw(&lister, database, name, &mut unreadable, &fail)?),
        What::View(table) => {
            if let Some(export) = &lister.export {
                export.prepare()?;
            }
            (table.name().to_owned(), view(&mut lister, database, table, &mut unreadable, &fail)?)
        }
    };
    let mut done = lister.done(&name, listed);
    done.result["unreadable"] = json!(unreadable);
    done.result["skipped_pages"] = json!(database.skipped_pages());
    if 0 < unreadable {
        output.remark(&format!("{unreadable} values cannot be read; they are shown as <what is wrong>"));
        done.exit = Exit::Finding;
    }
    Ok(done)
}

/// One column of a view: its key, and how it is made of the cell of a field.
struct Shown {
    key: String,
    heading: Option<&'static str>,
    source: Source,
    part: Part,
}

#[derive(Clone, Copy)]
enum Source {
    /// The field at this place.
    Field(usize),
    /// The serial number of what a request became, from the table of certificates.
    SerialNumber,
}

/// What of a cell a column shows.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    /// The number behind a word.
    Code,
    /// The word for a number.
    Word,
    Critical,
    InCertificate,
    Origin,
    Length,
}

/// Headings of the columns that a person is shown, as for our own sets.
fn headings(table: Table) -> Vec<(&'static str, &'static str)> {
    fn of<R>(columns: &'static [Column<R>]) -> Vec<(&'static str, &'static str)> {
        columns.iter().filter_map(|column| Some((column.key, column.heading?))).collect()
    }
    let mut headings = match table {
        Table::Requests => of(columns::REQUESTS),
        Table::Certificates => of(columns::CERTIFICATES),
        Table::Revoked => of(columns::REVOKED),
        Table::Extensions => of(columns::EXTENSIONS),
        Table::Attributes => of(columns::ATTRIBUTES),
        Table::Crls => of(columns::CRLS),
    };
    // What is a profile of our own CA.
    for (_, heading) in headings.iter_mut().filter(|(key, _)| *key == "certificate_template") {
        *heading = "Template";
    }
    headings
}

fn view_name(table: Table) -> ViewName {
    match table {
        Table::Requests => ViewName::Requests,
        Table::Certificates | Table::Revoked => ViewName::Certificates,
        Table::Extensions => ViewName::Extensions,
        Table::Attributes => ViewName::Attributes,
        Table::Crls => ViewName::Crls,
    }
}

/// The key of a column: its name in the file in small letters. Names that only this engine version has are those of our
/// own sets.
fn key_of(table: Table, column: &str) -> String {
    let column = match (table, column) {
        (_, "CertificateHash2") => "CertificateHash",
        (Table::Crls, "PropgationComplete") => "PropagationComplete",
        (Table::Crls, name) => name.strip_prefix("CRL").unwrap_or(name),
        (_, name) => name,
    };
    let letters: Vec<char> = column.chars().collect();
    let mut key = String::with_capacity(column.len() + 4);
    for (place, letter) in letters.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(place + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if starts_word {
            key.push('_');
        }
        key.extend(letter.to_lowercase());
    }
    key
}

/// The columns that a view shows.
fn shown_columns(table: Table, fields: &[Field], form: Form) -> Vec<Shown> {
    let mut all = Vec::new();
    for (place, field) in fields.iter().enumerate() {
        let key = key_of(table, field.column_name());
        let mut add = |key: String, part| {
            all.push(Shown { key, heading: None, source: Source::Field(place), part });
        };
        match (field.column_name(), field.meaning) {
            ("RawCertificate", _) => {}
            ("RawCRL", _) => add("bytes".to_owned(), Part::Length),
            (_, Meaning::Disposition | Meaning::RevocationReason) => {
                add(key.clone(), Part::Word);
                add(format!("{key}_code"), Part::Code);
            }
            (_, Meaning::ExtensionFlags) => {
                add(key, Part::Code);
                add("critical".to_owned(), Part::Critical);
                add("in_certificate".to_owned(), Part::InCertificate);
                add("origin".to_owned(), Part::Origin);
            }
            (_, Meaning::RequestType | Meaning::CrlFlags) => {
                add(key.clone(), Part::Code);
                add(format!("{key}_text"), Part::Word);
            }
            _ => add(key, Part::Whole),
        }
    }
    if table == Table::Requests {
        all.push(Shown {
            key: "serial_number".to_owned(),
            heading: None,
            source: Source::SerialNumber,
            part: Part::Whole,
        });
    }
    if form != Form::Table {
        return all;
    }
    let mut shown = Vec::new();
    for (key, heading) in headings(table) {
        if let Some(place) = all.iter().position(|column| column.key == key) {
            shown.push(Shown { heading: Some(heading), ..all.swap_remove(place) });
        }
    }
    shown
}

fn view<P: Pager>(
    lister: &mut Lister<'_>,
    database: &Database<P>,
    table: Table,
    unreadable: &mut u64,
    fail: &dyn Fn(certadm_ese::Error) -> Failure,
) -> Result<Listed, Failure> {
    let mut view = View::open(database, view_name(table)).map_err(|error| no_view(error, fail))?;
    let exporting = lister.export.is_some();
    view.retain(|field| match field.column_name() {
        "RawCertificate" => exporting,
        "ExtensionRawValue" | "RawCRL" => true,
        _ => !field.is_binary(),
    });
    if lister.form == Form::Table {
        let wanted: Vec<_> = headings(table).iter().map(|(key, _)| *key).collect();
        view.retain(|field| {
            let name = field.column_name();
            let key = key_of(table, name);
            wanted.contains(&key.as_str())
                || matches!(
                    name,
                    "Disposition" | "RequestID" | "ExtensionFlags" | "RawCRL" | "RawCertificate"
                )
        });
    }
    let place = |name: &str| view.fields().iter().position(|field| field.column_name() == name);
    let (request_id, disposition) = (place("RequestID"), place("Disposition"));
    let (serial, certificate) = (place("SerialNumber"), place("RawCertificate"));
    let columns = shown_columns(table, view.fields(), lister.form);
    let names = columns.iter().map(|column| match column.heading {
        Some(heading) => heading.to_owned(),
        None => column.key.clone(),
    });
    let issued = match table {
        Table::Requests => Some(database.table("Certificates").map_err(fail)?),
        _ => None,
    };
    let mut export = lister.export.take();
    let listed = lister.lines(names.collect(), |visit| {
        for row in view.rows() {
            let row = row.map_err(|error| Stop::Failed(fail(error)))?;
            if table == Table::Revoked && !may_be_revoked(disposition.and_then(|place| row.get(place))) {
                continue;
            }
            let id = number_of(request_id.and_then(|place| row.get(place)));
            let serial_of_request = match (&issued, id.and_then(|id| i32::try_from(id).ok())) {
                (Some(issued), Some(id)) => {
                    serial_number(database, issued, id).map_err(|error| Stop::Failed(fail(error)))?
                }
                _ => ViewCell::Empty,
            };
            let cell = |column: &Shown| match column.source {
                Source::Field(place) => row.get(place).map_or(Cell::Nothing, |cell| part(cell, column.part)),
                Source::SerialNumber => part(&serial_of_request, column.part),
            };
            let cells = row.iter().chain([&serial_of_request]);
            *unreadable += cells.filter(|cell| matches!(cell, ViewCell::Unreadable(_))).count() as u64;
            visit(columns.iter().map(cell).collect())?;
            if let (Some(export), Some(ViewCell::Bytes(der))) =
                (&mut export, certificate.and_then(|place| row.get(place)))
            {
                let serial = match serial.and_then(|place| row.get(place)) {
                    Some(ViewCell::Text(serial)) => Some(serial.as_str()),
                    _ => None,
                };
                let written = export.write(
                    id.unwrap_or_default(),
                    serial,
                    &certadm_rules::pem::encode("CERTIFICATE", der),
                );
                written.map_err(Stop::Failed)?;
            }
        }
        Ok(())
    });
    lister.export = export;
    listed
}

/// The tables by name are those of a CA; another database of Windows has none of them.
fn no_view(error: certadm_ese::Error, fail: &dyn Fn(certadm_ese::Error) -> Failure) -> Failure {
    let not_of_a_ca = matches!(error, certadm_ese::Error::NoSuchTable { .. });
    let mut failure = fail(error);
    if not_of_a_ca {
        failure.message.push_str(": it is not that of a CA");
        "list its tables with `certadm show`, and the rows of one with --table"
            .clone_into(&mut failure.remedy);
    }
    failure
}

fn number_of(cell: Option<&ViewCell>) -> Option<i64> {
    match cell? {
        ViewCell::Number(number) | ViewCell::Word(number, _) => Some(*number),
        _ => None,
    }
}

/// Whether a certificate was revoked, or nobody can read whether it was.
fn may_be_revoked(disposition: Option<&ViewCell>) -> bool {
    let revoked = i64::from(certadm_ca::rows::Disposition::REVOKED.0);
    matches!(disposition, Some(ViewCell::Unreadable(_))) || number_of(disposition) == Some(revoked)
}

/// The serial number of what a request became. A damaged page ends the listing, but for a database that is read around its
/// damage.
fn serial_number<P: Pager>(
    database: &Database<P>,
    issued: &certadm_ese::table::Table<'_, P>,
    request: i32,
) -> Result<ViewCell, certadm_ese::Error> {
    let serial = match issued.row_by_number(request) {
        Ok(Some(row)) => row.by_name("SerialNumber"),
        // Every request has one (ese.md 12).
        Ok(None) => {
            let problem = "its row among the certificates is not there, or cannot be read";
            return Ok(ViewCell::Unreadable(problem.to_owned()));
        }
        Err(error) if !database.is_salvaging() => return Err(error),
        Err(error) => Err(error),
    };
    Ok(match serial {
        Ok(Value::Text(serial)) => ViewCell::Text(serial),
        Ok(_) => ViewCell::Empty,
        Err(error) => ViewCell::Unreadable(error.to_string()),
    })
}

/// What a column shows of the cell of its field.
fn part(cell: &ViewCell, part: Part) -> Cell {
    const CRITICAL: i64 = 1;
    const DISABLED: i64 = 2;
    let flag = |bit: i64| number_of(Some(cell)).map_or(Cell::Nothing, |flags| Cell::Flag(flags & bit != 0));
    match (part, cell) {
        (_, ViewCell::Unreadable(problem)) => Cell::Text(format!("<{problem}>")),
        (_, ViewCell::Empty) => Cell::Nothing,
        (Part::Code, _) => number_of(Some(cell)).into(),
        (Part::Critical, _) => flag(CRITICAL),
        (Part::InCertificate, _) => match flag(DISABLED) {
            Cell::Flag(disabled) => Cell::Flag(!disabled),
            other => other,
        },
        (Part::Origin, ViewCell::Word(flags, Some(words))) => {
            // "origin X, critical": the flags have columns of their own.
            let origin = words.strip_prefix("origin ").unwrap_or(words);
            let cut = if flags & (CRITICAL | DISABLED) == 0 { None } else { origin.split_once(',') };
            Cell::Text(cut.map_or(origin, |(origin, _)| origin).to_owned())
        }
        (Part::Origin, _) => Cell::Nothing,
        (Part::Length, ViewCell::Bytes(bytes)) => i64::try_from(bytes.len()).ok().into(),
        (_, ViewCell::Number(number)) => Cell::Number(*number),
        (_, ViewCell::Word(number @ (0 | 1), Some(word))) if matches!(word.as_str(), "yes" | "no") => {
            Cell::Flag(*number == 1)
        }
        (_, ViewCell::Flags(bits)) => Cell::Number(i64::from(*bits)),
        (_, ViewCell::Other(value)) => typed(value.clone(), true),
        (_, other) => Cell::Text(other.to_string()),
    }
}

/// Any table with every column, under the names in the file.
fn raw<P: Pager>(
    lister: &Lister<'_>,
    database: &Database<P>,
    name: &str,
    unreadable: &mut u64,
    fail: &dyn Fn(certadm_ese::Error) -> Failure,
) -> Result<Listed, Failure> {
    let table = database.table(name).map_err(fail)?;
    // In the database of a CA a date is a FILETIME (ese.md 12), in others what its type says.
    let of_a_ca = database.catalog().map_err(fail)?.table("CertificateExtensions").is_ok();
    let columns = &table.definition().columns;
    let names = columns.iter().map(|column| column.name.clone()).collect();
    lister.lines(names, |visit| {
        for row in table.rows() {
            let row = row.map_err(|error| Stop::Failed(fail(error)))?;
            let cell = |column| match row.value(column) {
                Ok(value) => typed(value, of_a_ca),
                Err(error) => {
                    *unreadable += 1;
                    Cell::Text(format!("<{error}>"))
                }
            };
            visit(columns.iter().map(cell).collect())?;
        }
        Ok(())
    })
}

fn typed(value: Value, of_a_ca: bool) -> Cell {
    let date = if of_a_ca { value.filetime() } else { value.variant_date() };
    match value {
        Value::Null => Cell::Nothing,
        Value::Bit(bit) => Cell::Flag(bit),
        Value::F32(number) => real(f64::from(number)),
        Value::F64(number) => real(number),
        // A date that cannot be is shown as its bits.
        Value::DateTime(bits) => {
            Cell::Text(date.map_or_else(|| format!("{bits:#x}"), |date| format!("{date}Z")))
        }
        Value::Text(text) => Cell::Text(text),
        Value::Binary(bytes) => Cell::Text(certadm_rules::hex::encode(&bytes)),
        Value::Guid(guid) => Cell::Text(guid.to_string()),
        Value::Multi(values) => Cell::Many(values.into_iter().map(|value| typed(value, of_a_ca)).collect()),
        Value::U64(number) => match i64::try_from(number) {
            Ok(number) => Cell::Number(number),
            Err(_) => Cell::Text(number.to_string()),
        },
        other => other.integer().into(),
    }
}

fn real(number: f64) -> Cell {
    if number.is_finite() { Cell::Real(number) } else { Cell::Text(number.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_our_own_sets() {
        for (table, column, key) in [
            (Table::Requests, "RequestID", "request_id"),
            (Table::Requests, "RevokedEffectiveWhen", "revoked_effective_when"),
            (Table::Certificates, "CertificateHash2", "certificate_hash"),
            (Table::Certificates, "UPN", "upn"),
            (Table::Certificates, "PublishExpiredCertInCRL", "publish_expired_cert_in_crl"),
            (Table::Crls, "CRLPublishStatusCode", "publish_status_code"),
            (Table::Crls, "RowId", "row_id"),
        ] {
            assert_eq!(key_of(table, column), key);
        }
    }
}
