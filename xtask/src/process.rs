//! Running other programs.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

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
    to_err: impl Write,
) -> Result<Outcome> {
    let line = line_of(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(format_args!("cannot start `{line}`"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut tally = std::thread::scope(|scope| {
        let other = scope.spawn(|| pass_on(stdout, to_out));
        let mut tally = pass_on(stderr, to_err);
        tally += other.join().unwrap_or(Tally::ONE_FAILED);
        tally
    });
    match ended(child.wait().context(format_args!("cannot wait for `{line}`"))?) {
        Ok(()) => Ok((tally, Ok(()))),
        Err(status) => {
            tally.failed = tally.failed.max(1);
            Ok((tally, Err(Failure::new(format!("`{line}` failed ({status})")))))
        }
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
