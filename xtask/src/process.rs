//! Running other programs.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::failure::{Context, Failure, Result};
use crate::journal::Outcome;
use crate::tally::Tally;

/// Runs a program with its output on ours.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line_of(command);
    let status = command.status().context(format_args!("cannot start `{line}`"))?;
    ended(status).map_err(|status| Failure::new(format!("`{line}` failed ({status})")))
}

/// Runs a program and gives what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = line_of(command);
    let output = command.stderr(Stdio::inherit()).output().context(format_args!("cannot start `{line}`"))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{line}` failed ({})", output.status)));
    }
    String::from_utf8(output.stdout).context(format_args!("`{line}` wrote something that is not UTF-8"))
}

/// Whether a program can be started and exits well; what it writes is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// How a program ended: well, or with this status.
pub(crate) type Ended = std::result::Result<(), ExitStatus>;

/// Runs a program and gives what it wrote to its standard error, and how it ended.
pub(crate) fn capture(command: &mut Command) -> Result<(String, Ended)> {
    let line = line_of(command);
    let output = command.stdin(Stdio::null()).output().context(format_args!("cannot start `{line}`"))?;
    Ok((String::from_utf8_lossy(&output.stderr).into_owned(), ended(output.status)))
}

/// Runs a test runner, passes its output on line by line, and adds up its summary lines.
///
/// The tally is given even when the runner failed; a failure that it did not count itself, such as a test that does not
/// build or a test program that was killed, counts as one.
pub(crate) fn count(command: &mut Command) -> Result<Outcome> {
    count_and_pass_on(command, std::io::stdout(), std::io::stderr())
}

fn count_and_pass_on(
    command: &mut Command,
    to_out: impl Write + Send,
    to_err: impl Write + Send,
) -> Result<Outcome> {
    let line = line_of(command);
    let mut child = start(command, &line)?;
    let tally = Pipes::of(&mut child).pass_on(to_out, to_err);
    close(child, tally, &line)
}

/// A test runner that works beside what its caller does.
pub(crate) struct Beside {
    child: Child,
    line: String,
    reader: JoinHandle<Tally>,
    lines: Gathered,
}

impl Beside {
    /// Starts it. Its lines are kept until [`Self::join`], so that they do not mix with those of other steps.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let line = line_of(command);
        let mut child = start(command, &line)?;
        let lines = Gathered::default();
        let (to_out, to_err) = (lines.clone(), lines.clone());
        let pipes = Pipes::of(&mut child);
        let reader = std::thread::spawn(move || pipes.pass_on(to_out, to_err));
        Ok(Self { child, line, reader, lines })
    }

    /// Starts this program once more, with these arguments.
    pub(crate) fn of_this_program(arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe().context("cannot tell what this program is")?;
        Self::start(Command::new(program).args(arguments))
    }

    /// Waits for its end, then prints what it wrote. What it worked counts from here on: only the wait tells it.
    pub(crate) fn join(self) -> Result<Outcome> {
        let tally = self.reader.join().unwrap_or(Tally::ONE_FAILED);
        std::io::stdout().write_all(&self.lines.take()).ok();
        close(self.child, tally, &self.line)
    }
}

/// What two streams wrote, line by line in the order of their arrival.
#[derive(Clone, Default)]
struct Gathered(Arc<Mutex<Vec<u8>>>);

impl Gathered {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn start(command: &mut Command, line: &str) -> Result<Child> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().context(format_args!("cannot start `{line}`"))
}

/// Waits for a runner whose output has ended.
fn close(mut child: Child, mut tally: Tally, line: &str) -> Result<Outcome> {
    match ended(child.wait().context(format_args!("cannot wait for `{line}`"))?) {
        Ok(()) => Ok((tally, Ok(()))),
        Err(status) => {
            tally.failed = tally.failed.max(1);
            Ok((tally, Err(Failure::new(format!("`{line}` failed ({status})")))))
        }
    }
}

/// Both outputs of a runner.
struct Pipes {
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
}

impl Pipes {
    fn of(child: &mut Child) -> Self {
        Self { out: child.stdout.take(), err: child.stderr.take() }
    }

    /// Copies both to their end, and adds up the summary lines in them.
    fn pass_on(self, to_out: impl Write + Send, to_err: impl Write + Send) -> Tally {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| pass_on(self.out, to_out));
            let mut tally = pass_on(self.err, to_err);
            tally += other.join().unwrap_or(Tally::ONE_FAILED);
            tally
        })
    }
}

fn ended(status: ExitStatus) -> Ended {
    if status.success() { Ok(()) } else { Err(status) }
}

/// Copies a stream line by line and adds up the summary lines in it. Tests may print bytes that are no text.
fn pass_on(from: Option<impl Read>, mut to: impl Write) -> Tally {
    let mut tally = Tally::default();
    let lines =
        from.into_iter().flat_map(|from| BufReader::new(from).split(b'\n').map_while(|line| line.ok()));
    for mut line in lines {
        tally += Tally::from_line(&String::from_utf8_lossy(&line)).unwrap_or_default();
        line.push(b'\n');
        // A closed terminal must not end the count.
        to.write_all(&line).and_then(|()| to.flush()).ok();
    }
    tally
}

/// The command as somebody would type it.
fn line_of(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    std::iter::once(program)
        .chain(command.get_args().map(|argument| argument.to_string_lossy().into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell script that acts as a runner counts. Its lines go nowhere, or they would be counted once more when
    /// this test itself is run.
    fn count_script(script: &str) -> Outcome {
        let mut command = Command::new("sh");
        count_and_pass_on(command.args(["-c", script]), std::io::sink(), std::io::sink()).unwrap()
    }

    #[test]
    fn adds_up_the_summaries_of_both_streams() {
        let (tally, ended) = count_script(
            "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'; \
             echo '  Summary [ 0.1s] 3 tests run: 3 passed, 0 skipped' >&2",
        );
        assert_eq!(tally, Tally { passed: 5, failed: 0, skipped: 1 });
        assert!(ended.is_ok());
    }

    #[test]
    fn a_failure_that_nobody_counted_counts_as_one() {
        let (tally, ended) = count_script("exit 101");
        assert_eq!(tally, Tally::ONE_FAILED);
        assert!(ended.unwrap_err().to_string().contains("sh -c exit 101"));

        let (tally, _) = count_script("echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored'; exit 1");
        assert_eq!(tally, Tally { passed: 1, failed: 2, skipped: 0 });
    }

    #[test]
    fn what_runs_beside_says_nothing_before_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo a; echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored' >&2; exit 3"]);
        let beside = Beside::start(&mut command).unwrap();
        let lines = beside.lines.clone();
        let tally = beside.reader.join().unwrap();
        assert_eq!(tally, Tally { passed: 1, failed: 2, skipped: 0 });
        assert!(String::from_utf8(lines.take()).unwrap().lines().any(|line| line == "a"));
        let (tally, ended) = close(beside.child, tally, &beside.line).unwrap();
        assert_eq!(tally.failed, 2);
        assert!(ended.unwrap_err().to_string().starts_with("`sh -c"));
    }

    #[test]
    fn lines_are_passed_on_unchanged() {
        let mut seen = Vec::new();
        assert_eq!(pass_on(Some(&b"a\n\xFFb\n"[..]), &mut seen), Tally::default());
        assert_eq!(seen, b"a\n\xFFb\n");
    }

    #[test]
    fn a_program_that_is_missing_is_a_failure() {
        assert!(count(&mut Command::new("/nonexistent/program")).is_err());
        assert!(!succeeds(&mut Command::new("/nonexistent/program")));
    }
}
