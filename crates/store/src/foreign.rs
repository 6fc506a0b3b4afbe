//! Whether a database has what a CA's database has, and nothing else.
//!
//! A database may come from a stranger, as part of a set. SQLite runs what stands in a schema: a trigger may undo each
//! revocation, a view under the name of a table may never end, a column may be computed. Its integrity check finds nothing
//! wrong with them. So the schema must be the built-in one, object by object and word by word; only comments and
//! white space may differ, as they do between versions of this program.

use std::borrow::Cow;
use std::sync::OnceLock;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::error::{Error, Result};
use crate::schema;
use crate::trailer::Trailer;

/// One object of a schema.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    /// `table`, `index`, `view` or `trigger`.
    kind: String,
    name: String,
    /// The statement that makes it; none for an index that comes with its table.
    statement: Option<String>,
    /// The words of that.
    words: Option<String>,
}

/// Checks the schema of an open database. `what` names the database in the error.
///
/// # Errors
/// [`Error::Foreign`] (0xC80004B6) names the first object that is not a CA's, that differs, or that is missing;
/// [`Error::Sqlite`].
pub fn check(connection: &Connection, what: &std::path::Path) -> Result<()> {
    static BUILT_IN: OnceLock<Vec<Object>> = OnceLock::new();
    // Every connection asks, and the answer stays the same.
    let expected = match BUILT_IN.get() {
        Some(known) => known,
        None => {
            let made = built_in()?;
            BUILT_IN.get_or_init(|| made)
        }
    };
    let refuse = |detail: String| Err(Error::Foreign { path: what.to_owned(), detail });
    let mut seen = vec![false; expected.len()];
    let mut statement = connection.prepare("SELECT type, name, sql FROM main.sqlite_schema")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name) = (text(row, 0)?.unwrap_or_default(), text(row, 1)?.unwrap_or_default());
        let place = expected.iter().position(|known| (&*known.kind, &*known.name) == (&*kind, &*name));
        let Some(place) = place.filter(|place| !std::mem::replace(&mut seen[*place], true)) else {
            return refuse(format!("the {kind} {name:?} is foreign to it"));
        };
        let (known, statement) = (&expected[place], text(row, 2)?);
        // Of this version of this program each statement is what it is, and its words need not be looked for.
        if known.statement.as_deref() != statement.as_deref()
            && known.words != statement.as_deref().map(words)
        {
            return refuse(format!("the {kind} {name:?} is not the one of a CA"));
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(missing) => {
            let Object { kind, name, .. } = &expected[missing];
            refuse(format!("the {kind} {name:?} is missing"))
        }
        None => Ok(()),
    }
}

/// Checks what a database says of itself: one row, of the database that `trailer` names. A CA does not start on another.
///
/// # Errors
/// [`Error::Foreign`] (0xC80004B6); [`Error::Sqlite`] when SQLite cannot read it.
pub fn check_state(connection: &Connection, trailer: &Trailer, what: &std::path::Path) -> Result<()> {
    let refuse = |detail: &str| Err(Error::Foreign { path: what.to_owned(), detail: detail.to_owned() });
    let rows: i64 = connection.query_row("SELECT count(*) FROM store_state", [], |row| row.get(0))?;
    if rows != 1 {
        return refuse(&format!("the table \"store_state\" has {rows} rows in the place of one"));
    }
    match schema::state(connection) {
        Ok(state) if state.database == trailer.database => Ok(()),
        Ok(_) => refuse("the table \"store_state\" is of another database than the image's trailer"),
        Err(Error::Sqlite(error @ rusqlite::Error::SqliteFailure(..))) => Err(error.into()),
        // A number out of its range, a signature of another length.
        Err(_) => refuse("the row of the table \"store_state\" is malformed"),
    }
}

/// What this program makes, read from a database in memory: SQLite adds objects of its own.
fn built_in() -> Result<Vec<Object>> {
    let connection = Connection::open_in_memory()?;
    schema::create_tables(&connection)?;
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_schema")?;
    let mut rows = statement.query([])?;
    let mut objects = Vec::new();
    while let Some(row) = rows.next()? {
        let own = |column| -> Result<Option<String>> { Ok(text(row, column)?.map(Cow::into_owned)) };
        let statement = own(2)?;
        objects.push(Object {
            kind: own(0)?.unwrap_or_default(),
            name: own(1)?.unwrap_or_default(),
            words: statement.as_deref().map(words),
            statement,
        });
    }
    Ok(objects)
}

/// What a row says in a column; none where that is no text.
fn text<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Cow<'r, str>>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    })
}

/// A statement without its comments, a blank for all white space. Quotes are no shelter for a comment here; the built-in
/// schema has none, so that a statement with one is another one in any case.
fn words(statement: &str) -> String {
    let mut plain = String::with_capacity(statement.len());
    let mut rest = statement;
    // What lies between comments is taken at once.
    while let Some(place) = rest.find(['-', '/']) {
        let (before, from) = rest.split_at(place);
        plain.push_str(before);
        match *from.as_bytes() {
            [b'-', b'-', ..] => {
                rest = from.split_once('\n').map_or("", |(_, rest)| rest);
                plain.push(' ');
            }
            [b'/', b'*', ..] => {
                rest = from[2..].split_once("*/").map_or("", |(_, rest)| rest);
                plain.push(' ');
            }
            _ => {
                plain.push_str(&from[..1]);
                rest = &from[1..];
            }
        }
    }
    plain.push_str(rest);
    // SQLite ends a statement at a NUL.
    if statement.contains('\0') {
        plain.push('\0');
    }
    plain.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use certadm_rules::{FileTime, Generation};

    use super::*;
    use crate::log_file::Signature;

    /// A database as this program makes it, changed by these statements.
    fn changed(statements: &str) -> Result<()> {
        let connection = Connection::open_in_memory().unwrap();
        schema::create_tables(&connection).unwrap();
        connection.execute_batch(statements).unwrap();
        check(&connection, Path::new("ca.db"))
    }

    #[test]
    fn the_built_in_schema_passes_whatever_its_comments_say() {
        changed("").unwrap();
        changed("PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = sql || ' -- an older\n /* remark */'")
            .unwrap();
        assert_eq!(words("a --b'\n (c /* d */)\t,e"), "a (c ) ,e");
        assert_eq!(words("a-b/c - /é-*/*é/**/-/ü--"), "a-b/c - /é-* -/ü");
        assert_eq!(words("-"), "-");
        assert_eq!(
            (words("a/*"), words("/*/b"), words("--\n-")),
            ("a".to_owned(), String::new(), "-".to_owned())
        );
    }

    #[test]
    fn a_state_that_no_ca_starts_on_is_named() {
        let own = Signature([7; 16]);
        let trailer = Trailer {
            page_size: schema::PAGE_SIZE,
            image_pages: 1,
            database: own,
            stream: own,
            low: Generation::FIRST,
            high: Generation::FIRST,
            finished: FileTime(1),
            image: [0; 16],
        };
        let checked = |statements: &str| {
            let connection = Connection::open_in_memory().unwrap();
            schema::create(&connection, own, own).unwrap();
            connection.execute_batch(statements).unwrap();
            check_state(&connection, &trailer, Path::new("ca.db"))
        };
        checked("").unwrap();
        for (statements, named) in [
            ("DELETE FROM store_state", "has 0 rows"),
            (
                "PRAGMA ignore_check_constraints = on; INSERT INTO store_state SELECT 2, database_signature, \
              stream_signature, generation, previous_created, previous_content, 0, 0, NULL FROM store_state",
                "has 2 rows",
            ),
            ("UPDATE store_state SET database_signature = x'07'", "is malformed"),
            ("UPDATE store_state SET generation = 0", "is malformed"),
            ("UPDATE store_state SET generation = 4294967296", "is malformed"),
            ("UPDATE store_state SET previous_content = x''", "is malformed"),
            ("UPDATE store_state SET database_signature = zeroblob(16)", "another database"),
        ] {
            let error = checked(statements).expect_err(statements).to_string();
            assert!(error.contains(named), "{statements}: {error}");
        }
    }

    /// `.cargo/config.toml` leaves the others out of SQLite.
    #[test]
    fn of_virtual_tables_only_those_of_json_are_there() {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("SELECT name FROM pragma_module_list ORDER BY name").unwrap();
        let names: Vec<String> =
            statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let others = names.iter().filter(|name| !name.starts_with("json") && !name.starts_with("pragma_"));
        assert_eq!(others.count(), 0, "{names:?}");
    }

    #[test]
    fn what_is_foreign_differs_or_is_missing_is_named() {
        let swap = |from: &str, to: &str, name: &str| {
            format!(
                "PRAGMA writable_schema = on; \
                 UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}') WHERE name = '{name}'"
            )
        };
        for (statements, named) in [
            (
                "CREATE TRIGGER undo AFTER UPDATE ON Requests WHEN new.Disposition = 21 BEGIN \
                 UPDATE Requests SET Disposition = 20 WHERE RequestID = new.RequestID; END"
                    .to_owned(),
                "trigger \"undo\" is foreign",
            ),
            ("CREATE VIEW v AS SELECT 1".to_owned(), "view \"v\" is foreign"),
            (
                "DROP TABLE CRLs; CREATE VIEW CRLs AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
                 SELECT x AS RowId FROM n"
                    .to_owned(),
                "view \"CRLs\" is foreign",
            ),
            ("CREATE TABLE t (a, b AS (a + 1))".to_owned(), "table \"t\" is foreign"),
            ("ALTER TABLE Requests ADD COLUMN x INTEGER AS (1)".to_owned(), "table \"Requests\" is not the one"),
            ("CREATE INDEX i ON Requests (length(RawRequest))".to_owned(), "index \"i\" is foreign"),
            (
                "PRAGMA writable_schema = on; INSERT INTO sqlite_schema VALUES \
                 ('table', 'f', 'f', 0, 'CREATE VIRTUAL TABLE f USING fts5 (x)')"
                    .to_owned(),
                "table \"f\" is foreign",
            ),
            ("DROP INDEX CRLNumberIndex".to_owned(), "index \"CRLNumberIndex\" is missing"),
            ("DROP TABLE store_marks".to_owned(), "table \"store_marks\" is missing"),
            (
                "DROP INDEX CRLNumberIndex; CREATE INDEX CRLNumberIndex ON CRLs (Number, length(RawCRL))".to_owned(),
                "index \"CRLNumberIndex\" is not the one",
            ),
            (swap("CRLNumberIndex", "CRLNumberIndex/*", "CRLNumberIndex"), "index \"CRLNumberIndex\" is not the one"),
            (swap("STRICT", "STRICT \0", "CRLs"), "table \"CRLs\" is not the one"),
            ("ANALYZE".to_owned(), "table \"sqlite_stat1\" is foreign"),
        ] {
            let statements = statements.replace('\0', "' || char(0) || '");
            let error = changed(&statements).expect_err(&statements).to_string();
            assert!(error.contains(named), "{statements}: {error}");
        }
    }
}
