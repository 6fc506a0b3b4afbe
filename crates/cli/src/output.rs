//! What a command says: lines for a person, or one JSON object (docs/json.md).

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use certadm_rules::printable::{printable, printable_lines};
pub(crate) use certadm_rules::words::human_bytes;
use certadm_set::progress::{Progress, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::known_as;
use crate::terminal::{Tone, has_colours, painted};

/// Where and how a command speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

/// A command that has done its work: its exit code, and its result as JSON.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) exit: Exit,
    pub(crate) result: Value,
}

impl Done {
    /// Success with a result.
    pub(crate) fn good(result: Value) -> Self {
        Self { exit: Exit::Good, result }
    }

    /// The end of a command that goes on with the rest when a part of its work fails: the failure, with what was done all the same.
    ///
    /// # Errors
    /// The failure, if there is one.
    pub(crate) fn unless(self, failed: Option<Failure>) -> Result<Self, Failure> {
        match failed {
            None => Ok(self),
            Some(failure) => Err(failure.having(self.result)),
        }
    }
}

/// What a command has printed of its JSON object before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing yet.
    Nothing,
    /// The beginning, and so many rows: what the result has beside them is still to come.
    Rows(usize),
    /// All of it, as long as it ends well.
    Everything,
}

/// How a command ended, and what it has said before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) said: Said,
    pub(crate) outcome: Result<Done, Failure>,
}

impl From<Result<Done, Failure>> for Ended {
    fn from(outcome: Result<Done, Failure>) -> Self {
        Self { said: Said::Nothing, outcome }
    }
}

impl Output {
    /// A line for a person; nothing with `--json` or `--quiet`. Whatever text from elsewhere is in it, it stays one line.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        if !self.json && !self.quiet {
            // What was done is done, whether or not it could be told.
            print(&shown(text.as_ref())).ok();
        }
    }

    /// A line of a result that a person asked for, as [`Output::line`]; not silenced by `--quiet`.
    pub(crate) fn result(self, text: impl AsRef<str>) {
        if !self.json {
            keep(print(&shown(text.as_ref())));
        }
    }

    /// A result that has lines of its own, and no text from elsewhere, such as PEM.
    pub(crate) fn lines(self, text: &str) {
        if !self.json {
            keep(print(&printable_lines(text)));
        }
    }

    /// A verdict, in the colour of what it means where it goes to a terminal; not silenced by `--quiet`.
    pub(crate) fn verdict(self, text: &str, tone: Tone) {
        self.toned("", text, Some(tone), "");
    }

    /// A line of a result with a word in its colour, where the result goes to a terminal. No other colour than this one
    /// gets there: the parts of the line are plain.
    pub(crate) fn toned(self, before: &str, word: &str, tone: Option<Tone>, behind: &str) {
        if self.json {
            return;
        }
        let mut stdout = std::io::stdout().lock();
        let (before, word, behind) = (shown(before), shown(word), shown(behind));
        let word = match tone.filter(|_| has_colours(&stdout)) {
            Some(tone) => painted(&word, tone),
            None => word,
        };
        keep(writeln!(stdout, "{before}{word}{behind}"));
    }

    /// A success that is told before the command ends.
    ///
    /// # Errors
    /// With `--json`, when the object cannot be written.
    pub(crate) fn say(self, command: &str, done: &Done) -> Result<(), Failure> {
        if self.json { self.object(command, done.exit, &done.result, None) } else { Ok(()) }
    }

    /// The end of a command, good or bad: the one place where it says so. Returns the exit code. A program that asked for
    /// JSON and cannot get it is not told "good", nor is somebody whose result could not be written, such as to a full disk.
    pub(crate) fn finish(self, command: &str, ended: Ended) -> Exit {
        let exit = self.conclude(command, ended);
        let Some(error) = lost() else { return exit };
        let untold = tell_as(command, UNTOLD, &Failure::from(failed_output(error)));
        // What the command found may be worse than that nobody could read it.
        if matches!(exit, Exit::Good | Exit::Finding) { untold } else { exit }
    }

    fn conclude(self, command: &str, ended: Ended) -> Exit {
        match (ended.said, ended.outcome) {
            (Said::Everything, Ok(done)) => done.exit,
            (Said::Nothing, Ok(done)) => {
                if self.json {
                    keep(print_object(command, done.exit, &done.result, None));
                }
                done.exit
            }
            (Said::Rows(_), Ok(done)) => {
                self.end_rows(&done.result, done.exit, None);
                done.exit
            }
            (Said::Rows(count), Err(failure)) => {
                let cut_off = json!({ "count": count, "truncated": true });
                let is_told = self.end_rows(&cut_off, failure.exit, Some(&failure.to_json()));
                if is_told { failure.exit } else { tell(command, &failure) }
            }
            (Said::Nothing | Said::Everything, Err(failure)) => self.fail(command, &failure),
        }
    }

    fn fail(self, command: &str, failure: &Failure) -> Exit {
        let done = failure.done.as_deref().unwrap_or(&Value::Null);
        let is_told = self.json && self.object(command, failure.exit, done, Some(&failure.to_json())).is_ok();
        if is_told { failure.exit } else { tell(command, failure) }
    }

    fn object(self, command: &str, exit: Exit, result: &Value, error: Option<&Value>) -> Result<(), Failure> {
        print_object(command, exit, result, error).map_err(|error| failed_output(error).into())
    }

    /// The end of an object whose rows were printed as they came: what else the result has, and how the command ended. Answers
    /// whether it was printed.
    fn end_rows(self, result: &Value, exit: Exit, error: Option<&Value>) -> bool {
        let result = known_as::value(result);
        let rest: String = result
            .as_object()
            .into_iter()
            .flatten()
            .fold(String::new(), |rest, (key, value)| format!("{rest},{}:{value}", json!(key)));
        let end = ending(exit, error);
        let printed = print(&format!("]{rest}}}{end}"));
        let is_printed = printed.is_ok();
        keep(printed);
        is_printed
    }

    /// A remark beside the result, on standard error; nothing with `--json` or `--quiet`.
    pub(crate) fn remark(self, text: &str) {
        if !self.json && !self.quiet {
            writeln!(std::io::stderr().lock(), "note: {}", shown(text)).ok();
        }
    }

    /// A progress bar on a terminal that leaves nothing behind: for commands whose output is a table.
    pub(crate) fn progress_on_stderr(self) -> Bar {
        let terminal = std::io::stderr().is_terminal();
        Bar {
            output: self,
            silent: self.json || self.quiet || !terminal,
            bar: None,
            stage: None,
            terminal,
            traceless: true,
            began: Instant::now(),
        }
    }

    /// The same while rows go to standard output: nothing when that is the terminal, where the rows themselves are seen.
    pub(crate) fn progress_of_rows(self) -> Bar {
        let mut bar = self.progress_on_stderr();
        bar.silent |= std::io::stdout().is_terminal();
        bar
    }

    /// A progress bar on a terminal; elsewhere one line when a stage is through.
    pub(crate) fn progress(self) -> Bar {
        let silent = self.json || self.quiet;
        let terminal = std::io::stderr().is_terminal();
        Bar {
            output: self,
            silent,
            bar: None,
            stage: None,
            terminal,
            traceless: false,
            began: Instant::now(),
        }
    }
}

/// A text as it is told: in one line, and by the names that the user knows.
fn shown(text: &str) -> String {
    printable(&known_as::text(text)).into_owned()
}

/// Prints to standard output.
fn print(text: &str) -> io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")
}

/// Why a part of a result was not written.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Remembers the failure for the end of the command. A reader that has gone away (a closed pipe) has read what it wanted.
fn keep(printed: io::Result<()>) {
    if let Err(error) = printed
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// What was kept.
fn lost() -> Option<io::Error> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What JSON calls the command without a verb.
pub(crate) const ALONE: &str = "certadm";

/// What is said of a command that has done its work and could not write its result.
const UNTOLD: &str = "has ended, and its result could not be written";

/// Tells a failure to a person.
fn tell(command: &str, failure: &Failure) -> Exit {
    tell_as(command, "FAILED", failure)
}

/// The same, where other words than "FAILED" say what became of the command.
fn tell_as(command: &str, what: &str, failure: &Failure) -> Exit {
    // With standard error gone there is nobody left to tell; the exit code still says it.
    let mut stderr = std::io::stderr().lock();
    let failed = match has_colours(&stderr) {
        true => painted(what, Tone::Bad),
        false => what.to_owned(),
    };
    // Without a verb the command is `certadm` alone.
    let verb = if command == ALONE { String::new() } else { format!(" {command}") };
    writeln!(stderr, "certadm{verb} {failed}: {}", shown(&failure.to_string())).ok();
    writeln!(stderr, "What to do: {}.", shown(failure.remedy.trim_end_matches('.'))).ok();
    failure.exit
}

/// A path as it stands in JSON, which is UTF-8: bytes of it that are not are U+FFFD there.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A failure to write what the command prints.
pub(crate) fn failed_output(source: std::io::Error) -> certadm_files::Error {
    certadm_files::Error::Io { action: "write", path: "standard output".into(), source }
}

/// Prints the object of a command.
fn print_object(command: &str, exit: Exit, result: &Value, error: Option<&Value>) -> io::Result<()> {
    let (beginning, end) = (beginning(command), ending(exit, error));
    let result = known_as::value(result);
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{beginning}{result}{end}").and_then(|()| stdout.flush())
}

/// The object of a command up to its result.
fn beginning(command: &str) -> String {
    format!("{{\"format\":1,\"command\":{},\"result\":", json!(command))
}

/// The object of a command behind its result.
fn ending(exit: Exit, error: Option<&Value>) -> String {
    let ok = matches!(exit, Exit::Good | Exit::Finding);
    let error = error.map(known_as::value);
    format!(",\"ok\":{ok},\"exit_code\":{},\"error\":{}}}", exit as u8, json!(error))
}

/// The object of a command up to the first of its rows, for a listing of any length.
pub(crate) fn begin_rows(command: &str) -> String {
    format!("{}{{\"rows\":[", beginning(command))
}

/// A bar that leaves nothing behind comes only after so long.
const PATIENCE: Duration = Duration::from_millis(700);

/// Progress in the wording of certutil: `Backing up Database files: 100%`.
pub(crate) struct Bar {
    output: Output,
    silent: bool,
    bar: Option<ProgressBar>,
    stage: Option<(Stage, u64, u64)>,
    terminal: bool,
    /// Says nothing when a stage is through.
    traceless: bool,
    began: Instant,
}

impl Bar {
    fn end_stage(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some((stage, done, total)) = self.stage.take()
            && done >= total
            && stage != Stage::Rows
            && !self.traceless
        {
            self.output.line(format!("{}: 100%", stage.label()));
        }
    }
}

impl Progress for Bar {
    fn at(&mut self, stage: Stage, done: u64, total: u64) {
        if self.silent {
            return;
        }
        let is_new = self.stage.is_none_or(|(now, _, _)| now != stage);
        let is_late = self.traceless && self.bar.is_none() && PATIENCE <= self.began.elapsed();
        if is_new || (self.terminal && is_late) {
            self.end_stage();
            // What is through in a moment needs no bar, and leaves nothing behind.
            if self.terminal && (!self.traceless || PATIENCE <= self.began.elapsed()) {
                self.bar = Some(drawn(ProgressBar::new(total), stage));
            }
        }
        self.stage = Some((stage, done, total));
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end_stage();
    }
}

/// A bar with what a stage tells: how far it is, how fast, and how long it will take; of rows only how many, since nobody
/// knows before how many there are.
fn drawn(bar: ProgressBar, stage: Stage) -> ProgressBar {
    let template = match stage {
        Stage::Rows => "{prefix:18} {human_pos} {per_sec}",
        _ => "{prefix:18} [{bar:24}] {percent:>3} % {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(stage.label());
    bar
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal of 100 columns that keeps what was written.
    #[derive(Clone, Debug, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The line of a stage at a place.
    fn line(stage: Stage, done: u64, total: u64) -> String {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        let bar = drawn(ProgressBar::with_draw_target(Some(total), target), stage);
        bar.set_position(done);
        bar.force_draw();
        paper.0.lock().unwrap().clone()
    }

    #[test]
    fn a_bar_tells_percent_size_speed_and_the_time_that_is_left() {
        let mib = 1 << 20;
        for (done, percent, size) in [
            (0, "  0 %", "0 B/100.00 MiB"),
            (25 * mib, " 25 %", "25.00 MiB/100.00 MiB"),
            (100 * mib, "100 %", "100.00 MiB/100.00 MiB"),
        ] {
            let text = line(Stage::Database, done, 100 * mib);
            assert!(text.starts_with(Stage::Database.label()), "{text}");
            for part in [percent, size, "B/s, "] {
                assert!(text.contains(part), "no {part:?} in {text:?}");
            }
            let left = text
                .trim_end()
                .strip_suffix(" left")
                .and_then(|text| text.rsplit(' ').next())
                .unwrap_or_default();
            assert!(left.starts_with(|first: char| first.is_ascii_digit()), "no time left in {text:?}");
        }
        let rows = line(Stage::Rows, 1234, 0);
        assert!(
            rows.contains("1,234") && rows.contains("/s") && !rows.contains('%') && !rows.contains("left"),
            "{rows}"
        );
    }
}
