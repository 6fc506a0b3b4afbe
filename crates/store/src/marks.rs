//! The backup marks in the database: which backups count as a base (certbcli.md 8.4).

use certadm_rules::{BackupMarks, FileTime, Generation, GenerationRange};
use rusqlite::{Connection, params};

use crate::error::Result;

/// A backup the database remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The generations of the backup.
    pub range: GenerationRange,
    /// When it ended.
    pub taken: FileTime,
}

/// The marks in a CA's database; a mark that cannot be one, such as a range that begins at 0, counts as none.
///
/// # Errors
/// Those of SQLite.
pub fn marks(connection: &Connection) -> Result<BackupMarks<Mark>> {
    let mut statement = connection
        .prepare_cached("SELECT kind, generation_low, generation_high, taken_when FROM store_marks")?;
    let mut rows = statement.query([])?;
    let mut marks = BackupMarks::NONE;
    while let Some(row) = rows.next()? {
        let word: String = row.get(0)?;
        let range = Generation::new(row.get(1)?)
            .zip(Generation::new(row.get(2)?))
            .and_then(|(low, high)| GenerationRange::new(low, high));
        let (Some(range), taken) = (range, FileTime(row.get(3)?)) else { continue };
        if let Some((_, slot)) = marks.slots_mut().into_iter().find(|(kind, _)| kind.to_string() == word) {
            *slot = Some(Mark { range, taken });
        }
    }
    Ok(marks)
}

pub(crate) fn write(connection: &Connection, marks: &BackupMarks<Mark>) -> Result<()> {
    connection.execute("DELETE FROM store_marks", [])?;
    for (kind, mark) in marks.iter() {
        connection.execute(
            "INSERT INTO store_marks VALUES (?1, ?2, ?3, ?4)",
            params![kind.to_string(), mark.range.low().number(), mark.range.high().number(), mark.taken.0],
        )?;
    }
    Ok(())
}
