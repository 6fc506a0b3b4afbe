//! Rows for a person, for a spreadsheet, or for a program: one definition of the columns serves all three.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde_json::{Map, Value};

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Aligned columns for a person.
    Table,
    /// RFC 4180.
    Csv,
    /// Kept for the one JSON object of the command.
    Json,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Nothing,
    Flag(bool),
    Number(i64),
    Text(String),
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
            Self::Text(text) => text.clone().into(),
        }
    }

    fn to_csv(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) if text.contains([',', '"', '\r', '\n']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Self::Text(text) => text.clone(),
        }
    }

    fn for_a_person(&self) -> String {
        match self {
            Self::Nothing => "-".to_owned(),
            Self::Flag(true) => "yes".to_owned(),
            Self::Flag(false) => "no".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => printable(text),
        }
    }
}

/// Text from elsewhere must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '\n' => "; ".chars().collect::<Vec<_>>(),
            c if c.is_control() => c.escape_default().collect(),
            c => vec![c],
        })
        .collect()
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

/// Prints rows as they come.
pub(crate) struct Printer<R: 'static> {
    columns: &'static [Column<R>],
    form: Form,
    out: BufWriter<StdoutLock<'static>>,
    /// Lines that wait until it is known how wide the columns are.
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    objects: Vec<Value>,
}

impl<R> Printer<R> {
    pub(crate) fn new(columns: &'static [Column<R>], form: Form) -> io::Result<Self> {
        let out = BufWriter::new(io::stdout().lock());
        let mut printer = Self { columns, form, out, waiting: Vec::new(), widths: None, objects: Vec::new() };
        match form {
            Form::Table => {
                let headings = columns.iter().filter_map(|column| column.heading);
                printer.waiting.push(headings.map(str::to_owned).collect());
            }
            Form::Csv => printer.csv_line(columns.iter().map(|column| column.key.to_owned()))?,
            Form::Json => {}
        }
        Ok(printer)
    }

    pub(crate) fn row(&mut self, row: &R) -> io::Result<()> {
        match self.form {
            Form::Table => {
                let shown = self.columns.iter().filter(|column| column.heading.is_some());
                let line: Vec<String> = shown.map(|column| (column.cell)(row).for_a_person()).collect();
                if self.widths.is_some() {
                    return self.table_line(&line);
                }
                self.waiting.push(line);
                if self.waiting.len() > MEASURED { self.measure() } else { Ok(()) }
            }
            Form::Csv => self.csv_line(self.columns.iter().map(|column| (column.cell)(row).to_csv())),
            Form::Json => {
                let members =
                    self.columns.iter().map(|column| (column.key.to_owned(), (column.cell)(row).to_json()));
                self.objects.push(Value::Object(members.collect::<Map<_, _>>()));
                Ok(())
            }
        }
    }

    /// Prints what is left and returns the rows as JSON objects, when they were asked for so.
    pub(crate) fn finish(mut self) -> io::Result<Vec<Value>> {
        if self.form == Form::Table && self.widths.is_none() {
            self.measure()?;
        }
        self.out.flush()?;
        Ok(self.objects)
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
        writeln!(self.out, "{}", padded.join("  ").trim_end())
    }

    fn csv_line(&mut self, fields: impl Iterator<Item = String>) -> io::Result<()> {
        write!(self.out, "{}\r\n", fields.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
