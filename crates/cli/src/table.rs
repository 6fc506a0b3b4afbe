//! Rows for a person, for a spreadsheet, or for a program: one definition of the columns serves all three.

use std::borrow::Cow;
use std::io::{self, BufWriter, StdoutLock, Write};

use certadm_rules::printable::printable;
use serde_json::{Map, Value};

use crate::output::begin_rows;
use crate::terminal::width;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Aligned columns for a person.
    Table,
    /// RFC 4180.
    Csv,
    /// Objects of the list `rows` in the one JSON object of the command.
    Json,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Nothing,
    Flag(bool),
    Number(i64),
    Real(f64),
    Text(String),
    /// Several values of one cell.
    Many(Vec<Cell>),
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }
}

impl From<Option<i32>> for Cell {
    fn from(number: Option<i32>) -> Self {
        number.map(i64::from).into()
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }
}

impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        text.clone().into()
    }
}

impl Cell {
    fn to_json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => text.clone().into(),
            Self::Many(cells) => cells.iter().map(Self::to_json).collect(),
        }
    }

    fn to_csv(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(text) if text.contains([',', '"', '\r', '\n']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Self::Text(text) => text.clone(),
            // The values as JSON has them, so that none is taken for another.
            Self::Many(_) => Self::Text(self.to_json().to_string()).to_csv(),
        }
    }

    fn for_a_person(&self) -> String {
        match self {
            Self::Nothing => "-".to_owned(),
            Self::Flag(true) => "yes".to_owned(),
            Self::Flag(false) => "no".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(text) => printable(text).into_owned(),
            Self::Many(cells) => cells.iter().map(Self::for_a_person).collect::<Vec<_>>().join("; "),
        }
    }
}

/// One column of a listing.
pub(crate) struct Column<R: 'static> {
    /// Its name in JSON and CSV.
    pub(crate) key: &'static str,
    /// Its heading for a person; a column without one is only in JSON and CSV.
    pub(crate) heading: Option<&'static str>,
    pub(crate) cell: fn(&R) -> Cell,
}

/// So many rows decide how wide the columns are; a longer value further down only shifts its own line.
const MEASURED: usize = 200;

/// The columns of a listing that one form shows, with the names it gives them.
pub(crate) fn shown<R>(columns: &'static [Column<R>], form: Form) -> (Vec<&'static Column<R>>, Vec<String>) {
    let shown = columns.iter().filter(|column| form != Form::Table || column.heading.is_some());
    let name = |column: &'static Column<R>| match (form, column.heading) {
        (Form::Table, Some(heading)) => (column, heading.to_owned()),
        _ => (column, column.key.to_owned()),
    };
    shown.map(name).unzip()
}

/// Prints rows of cells as they come, under names that are known only when the file is.
pub(crate) struct Lines {
    names: Vec<String>,
    form: Form,
    out: BufWriter<StdoutLock<'static>>,
    /// Lines that wait until it is known how wide the columns are.
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    /// The longest line that the terminal shows in one.
    longest: Option<usize>,
    /// What stands before the next JSON object: the beginning of the command's object, then a comma.
    before: String,
}

impl Lines {
    /// `names` are headings for a person, keys in the other forms; `command` stands in the JSON object.
    pub(crate) fn new(names: Vec<String>, form: Form, command: &str) -> io::Result<Self> {
        let out = BufWriter::new(io::stdout().lock());
        let before = begin_rows(command);
        let mut lines =
            Self { names, form, out, waiting: Vec::new(), widths: None, longest: width(), before };
        match form {
            // Columns of a Windows database have the names that its file gives them.
            Form::Table => {
                lines.waiting.push(lines.names.iter().map(|name| printable(name).into_owned()).collect());
            }
            Form::Csv => {
                let names: Vec<_> =
                    lines.names.iter().map(|name| Cell::Text(name.clone()).to_csv()).collect();
                lines.csv_line(names.into_iter())?;
            }
            Form::Json => {}
        }
        Ok(lines)
    }

    /// One row, a cell for each name.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
        let cells = cells.into_iter();
        match self.form {
            Form::Table => {
                let line: Vec<String> = cells.map(|cell| cell.for_a_person()).collect();
                if self.widths.is_some() {
                    return self.table_line(&line);
                }
                self.waiting.push(line);
                if self.waiting.len() > MEASURED { self.measure() } else { Ok(()) }
            }
            Form::Csv => self.csv_line(cells.map(|cell| cell.to_csv())),
            Form::Json => {
                let members = self.names.iter().cloned().zip(cells.map(|cell| cell.to_json()));
                let object = Value::Object(members.collect::<Map<_, _>>());
                write!(self.out, "{}{object}", std::mem::replace(&mut self.before, ",".to_owned()))
            }
        }
    }

    /// Prints what is left. After a JSON list the object is still open ([`Said::Rows`](crate::output::Said)).
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match self.form {
            Form::Table if self.widths.is_none() => self.measure()?,
            // Not a single row.
            Form::Json if self.before != "," => write!(self.out, "{}", self.before)?,
            _ => {}
        }
        self.out.flush()
    }

    fn measure(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.waiting);
        let columns = lines.first().map_or(0, Vec::len);
        let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or(0);
        self.widths = Some((0..columns).map(width).collect());
        lines.iter().try_for_each(|line| self.table_line(line))
    }

    fn table_line(&mut self, line: &[String]) -> io::Result<()> {
        let widths = self.widths.as_deref().unwrap_or_default();
        let padded: Vec<String> =
            line.iter().zip(widths).map(|(text, width)| format!("{text:width$}", width = *width)).collect();
        let line = padded.join("  ");
        writeln!(self.out, "{}", cut(line.trim_end(), self.longest))
    }

    fn csv_line(&mut self, fields: impl Iterator<Item = String>) -> io::Result<()> {
        for (place, field) in fields.enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(self.out, "{comma}{field}")?;
        }
        write!(self.out, "\r\n")
    }
}

/// A line as far as a terminal shows it in one.
fn cut(line: &str, longest: Option<usize>) -> Cow<'_, str> {
    match longest {
        Some(longest) if longest < line.chars().count() => {
            let kept = line.chars().take(longest.saturating_sub(1));
            Cow::Owned(kept.chain(std::iter::once('…')).collect())
        }
        _ => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_the_terminal_ends() {
        assert_eq!(cut("Müller", Some(6)), "Müller");
        assert_eq!(cut("Müller", Some(4)), "Mül…");
        assert_eq!(cut("Müller", Some(1)), "…");
        assert_eq!(cut("Müller", None), "Müller");
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        for (text, expected) in
            [("plain", "plain"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("a\nb", "\"a\nb\""), ("", "")]
        {
            assert_eq!(Cell::Text(text.to_owned()).to_csv(), expected);
        }
        assert_eq!(Cell::Nothing.to_csv(), "");
        assert_eq!(Cell::Flag(true).to_csv(), "true");
    }

    #[test]
    fn text_from_elsewhere_does_not_reach_the_terminal_raw() {
        let cell = Cell::Text("CN=\u{1b}[2Jx\r\nO=y".to_owned());
        assert_eq!(cell.for_a_person(), "CN=\\u{1b}[2Jx\\r; O=y");
        assert_eq!(Cell::Nothing.for_a_person(), "-");
    }
}
