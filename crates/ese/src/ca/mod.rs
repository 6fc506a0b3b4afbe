//! The tables of a CA as an administrator knows them (ese.md 12).

mod fields;
pub mod words;

use core::fmt;

pub use fields::Meaning;

use certadm_rules::{hex::Hex, pem};

use crate::column::{Column, ColumnType, Value};
use crate::database::Database;
use crate::error::Error;
use crate::pager::Pager;
use crate::table::{Row, Table};
use crate::time::DateTime;

/// One of the five views of a CA database.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ViewName {
    /// One row for each request.
    Requests,
    /// One row for each certificate that was issued, with what matters of its request.
    Certificates,
    /// One row for each extension of a request or certificate.
    Extensions,
    /// One row for each attribute of a request.
    Attributes,
    /// One row for each revocation list.
    Crls,
}

impl ViewName {
    /// All views.
    pub const ALL: [Self; 5] =
        [Self::Requests, Self::Certificates, Self::Extensions, Self::Attributes, Self::Crls];

    /// The table it shows.
    pub fn table(self) -> &'static str {
        match self {
            Self::Requests => "Requests",
            Self::Certificates => "Certificates",
            Self::Extensions => "CertificateExtensions",
            Self::Attributes => "RequestAttributes",
            Self::Crls => "CRLs",
        }
    }

    fn entries(self) -> &'static [fields::FieldEntry] {
        match self {
            Self::Requests => fields::REQUESTS,
            Self::Certificates => fields::CERTIFICATES,
            Self::Extensions => fields::EXTENSIONS,
            Self::Attributes => fields::ATTRIBUTES,
            Self::Crls => fields::CRLS,
        }
    }
}

/// Request columns that the view of certificates repeats.
const OF_REQUEST: [&str; 8] = [
    "Disposition",
    "DispositionMessage",
    "RequesterName",
    "SubmittedWhen",
    "ResolvedWhen",
    "RevokedWhen",
    "RevokedEffectiveWhen",
    "RevokedReason",
];

/// A field of a view.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// The name an administrator knows.
    pub name: String,
    /// How the value is to be read.
    pub meaning: Meaning,
    column: Column,
    /// Comes from the row of the request.
    of_request: bool,
}

impl Field {
    /// True for bytes, such as a certificate; false for numbers, dates and text.
    pub fn is_binary(&self) -> bool {
        matches!(self.column.kind, ColumnType::Binary | ColumnType::LongBinary)
    }

    /// The name of the column in the file, without the `$` of text columns.
    pub fn column_name(&self) -> &str {
        plain_name(&self.column)
    }
}

fn plain_name(column: &Column) -> &str {
    column.name.strip_prefix('$').unwrap_or(&column.name)
}

/// A cell of a view.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Cell {
    /// No value.
    Empty,
    /// A number without a further meaning.
    Number(i64),
    /// A number with a meaning in words; `None` where the number is not known.
    Word(i64, Option<String>),
    /// Flag bits.
    Flags(u32),
    /// A result code.
    ResultCode(u32),
    /// A date in UTC.
    Date(DateTime),
    /// Text; several values of a name part stand on lines of their own.
    Text(String),
    /// Bytes, such as a certificate.
    Bytes(Vec<u8>),
    /// A value of a kind that no column of a CA has: several of one cell, a real number, a GUID.
    Other(Value),
    /// The cell cannot be read; the others of the row can.
    Unreadable(String),
}

impl Cell {
    fn new(meaning: Meaning, value: Result<Value, Error>) -> Self {
        let value = match value {
            Ok(value) => value,
            Err(error) => return Self::Unreadable(error.to_string()),
        };
        if let Some(number) = value.integer() {
            return Self::of_number(meaning, number);
        }
        match value {
            Value::Null => Self::Empty,
            Value::DateTime(_) => value
                .filetime()
                .map_or_else(|| Self::Unreadable("a date that cannot be".to_owned()), Self::Date),
            Value::Text(text) => Self::Text(text),
            Value::Binary(bytes) => Self::Bytes(bytes),
            other => Self::Other(other),
        }
    }

    fn of_number(meaning: Meaning, number: i64) -> Self {
        let word = |word: Option<&str>| Self::Word(number, word.map(str::to_owned));
        match meaning {
            Meaning::Plain => Self::Number(number),
            // The column has 32 bits; its sign is not meant.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Meaning::ResultCode => Self::ResultCode(number as u32),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Meaning::Flags => Self::Flags(number as u32),
            Meaning::Disposition => word(words::disposition(number)),
            Meaning::RevocationReason => word(words::revocation_reason(number)),
            Meaning::RequestType => word(words::request_type(number)),
            Meaning::ExtensionFlags => Self::Word(number, words::extension_flags(number)),
            Meaning::CrlFlags => word(words::crl_flags(number)),
            Meaning::Truth => word(words::truth(number)),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Word(_, Some(word)) => f.write_str(word),
            Self::Word(number, None) => write!(f, "{number}"),
            Self::Flags(bits) => write!(f, "{bits:#x}"),
            Self::ResultCode(code) => write!(f, "{code:#010x}"),
            Self::Date(date) => write!(f, "{date}Z"),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => Hex(bytes).fmt(f),
            Self::Other(value) => value.fmt(f),
            Self::Unreadable(problem) => write!(f, "<{problem}>"),
        }
    }
}

/// A view of a CA database.
pub struct View<'d, P> {
    name: ViewName,
    fields: Vec<Field>,
    table: Table<'d, P>,
    /// The requests, where the view shows some of their columns.
    requests: Option<Table<'d, P>>,
    /// The database is read around its damage.
    is_salvaging: bool,
}

impl<'d, P: Pager> View<'d, P> {
    /// Opens a view.
    ///
    /// # Errors
    /// [`Error::NoSuchTable`] (HRESULT 0xC8000519) when the database is not that of a CA; as [`Database::catalog`].
    pub fn open(database: &'d Database<P>, name: ViewName) -> Result<Self, Error> {
        let table = database.table(name.table())?;
        let requests = match name {
            ViewName::Certificates => Some(database.table(ViewName::Requests.table())?),
            _ => None,
        };
        let mut fields = known_fields(&table, name.entries(), |_| true, false);
        for column in &table.definition().columns {
            if !fields.iter().any(|field| field.column.id == column.id) {
                fields.push(Field {
                    name: plain_name(column).to_owned(),
                    meaning: Meaning::Plain,
                    column: column.clone(),
                    of_request: false,
                });
            }
        }
        if let Some(requests) = &requests {
            let wanted = |column: &str| OF_REQUEST.contains(&column);
            fields.extend(known_fields(requests, fields::REQUESTS, wanted, true));
        }
        Ok(Self { name, fields, table, requests, is_salvaging: database.is_salvaging() })
    }

    /// Which view it is.
    pub fn name(&self) -> ViewName {
        self.name
    }

    /// Its fields in the order of the cells.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Leaves fields out; what is left out is not read.
    pub fn retain(&mut self, keep: impl FnMut(&Field) -> bool) {
        self.fields.retain(keep);
    }

    /// All rows, cells in the order of the fields. Of the certificates only those that were issued.
    ///
    /// The iterator ends after the first error of the tree, or of the tree of the requests where the view shows some of their
    /// columns: without them nobody knows which certificates were revoked. A damaged cell is [`Cell::Unreadable`], and so is
    /// each cell of a request that is not there, or that a database which is read around its damage has lost.
    pub fn rows(&self) -> impl Iterator<Item = Result<Vec<Cell>, Error>> {
        self.table.rows().filter_map(move |row| self.cells(row).transpose())
    }

    fn cells(&self, row: Result<Row<'_, 'd, P>, Error>) -> Result<Option<Vec<Cell>>, Error> {
        let row = row?;
        if self.name == ViewName::Certificates && is_null(&row, "RawCertificate") {
            return Ok(None);
        }
        let request = match &self.requests {
            Some(requests) => match request_of(requests, &row) {
                Ok(Some(request)) => Ok(request),
                // Every certificate has its request (ese.md 12).
                Ok(None) => Err("its request is not there, or cannot be read".to_owned()),
                // Where the rest is wanted, it takes only its own columns with it.
                Err(error) if self.is_salvaging => Err(error.to_string()),
                Err(error) => return Err(error),
            },
            None => Err(String::new()),
        };
        let cells = self.fields.iter().map(|field| {
            let source = match &request {
                _ if !field.of_request => &row,
                Ok(request) => request,
                Err(problem) => return Cell::Unreadable(problem.clone()),
            };
            Cell::new(field.meaning, source.value(&field.column))
        });
        Ok(Some(cells.collect()))
    }
}

fn known_fields<P: Pager>(
    table: &Table<'_, P>,
    entries: &[fields::FieldEntry],
    wanted: impl Fn(&str) -> bool,
    of_request: bool,
) -> Vec<Field> {
    entries
        .iter()
        .filter(|(_, column, _)| wanted(column))
        .filter_map(|(name, column, meaning)| {
            Some(Field {
                name: (*name).to_owned(),
                meaning: *meaning,
                column: table.definition().column(column)?.clone(),
                of_request,
            })
        })
        .collect()
}

/// True for a column that is absent or empty; one that cannot be read is not empty.
fn is_null<P: Pager>(row: &Row<'_, '_, P>, column: &str) -> bool {
    match row.by_name(column) {
        Ok(value) => value.is_null(),
        Err(Error::NoSuchColumn { .. }) => true,
        Err(_) => false,
    }
}

/// The row of the request that a row belongs to.
fn request_of<'t, 'd, P: Pager>(
    requests: &'t Table<'d, P>,
    row: &Row<'_, '_, P>,
) -> Result<Option<Row<'t, 'd, P>>, Error> {
    let number = row.by_name("RequestID")?.integer();
    match number.and_then(|number| i32::try_from(number).ok()) {
        Some(number) => requests.row_by_number(number),
        None => Ok(None),
    }
}

/// A certificate of a CA database, to be written to a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Certificate {
    /// Identifier of its request.
    pub request_id: i32,
    /// Serial number in lower-case hexadecimal digits, as the database has it.
    pub serial_number: String,
    /// Common name of the subject, where there is one.
    pub common_name: Option<String>,
    /// What became of the request (20 issued, 21 revoked, 15 the CA's own).
    pub disposition: Option<i32>,
    /// The certificate.
    pub der: Vec<u8>,
}

impl Certificate {
    /// The certificate in base64 armour.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }
}

impl<P: Pager> Database<P> {
    /// All certificates of a CA database, by request. Certificates that cannot be read are errors of their own;
    /// the others follow.
    ///
    /// # Errors
    /// [`Error::NoSuchTable`] (HRESULT 0xC8000519) when the database is not that of a CA; as [`Database::catalog`].
    pub fn certificates(&self) -> Result<Vec<Result<Certificate, Error>>, Error> {
        let table = self.table(ViewName::Certificates.table())?;
        let requests = self.table(ViewName::Requests.table())?;
        let certificate = |row: Row<'_, '_, P>| -> Result<Option<Certificate>, Error> {
            let Value::Binary(der) = row.by_name("RawCertificate")? else {
                return Ok(None);
            };
            let small = |value: Value| value.integer().and_then(|number| i32::try_from(number).ok());
            let text = |value: Value| value.text().map(str::to_owned);
            // What became of the request may be lost, and its certificate be there.
            let request = request_of(&requests, &row).ok().flatten();
            let disposition = request.and_then(|request| request.by_name("Disposition").ok()).and_then(small);
            Ok(Some(Certificate {
                request_id: small(row.by_name("RequestID")?).unwrap_or(0),
                serial_number: text(row.by_name("SerialNumber")?).unwrap_or_default(),
                common_name: text(row.by_name("CommonName")?),
                disposition,
                der,
            }))
        };
        Ok(table.rows().filter_map(|row| row.and_then(certificate).transpose()).collect())
    }
}
