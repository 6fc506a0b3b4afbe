//! Line coverage of every crate by the tests of all of them, with cargo-llvm-cov.
//!
//! The tests are run instrumented, and with them the processes and programs that they start: every one of them adds its
//! counts to files in the target folder when it ends. What was killed adds nothing. Only packages of this workspace are
//! instrumented, so the others are not compiled again.
//!
//! Each crate has a floor. In [`CRITICAL`] files, each line that no test reaches has a comment above it that says why.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::tools::{self, Tool};
use crate::workspace::{Workspace, files_below};

const TOOL: Tool =
    Tool { name: "cargo-llvm-cov", version: "0.9.1", asks_version: &["llvm-cov", "--version"] };

/// The least that the tests must reach of each crate's lines, in per cent. CONTRIBUTING.md names them, too.
const FLOORS: &[(&str, f64)] = &[
    ("auth", 90.0),
    ("ca", 90.0),
    ("cli", 85.0),
    ("client", 85.0),
    ("ese", 90.0),
    ("ffi", 85.0),
    ("files", 90.0),
    ("fuzz-oracles", 90.0),
    ("identity", 90.0),
    ("kerberos", 90.0),
    ("recovery", 90.0),
    ("rules", 90.0),
    ("server", 85.0),
    ("session", 90.0),
    ("set", 90.0),
    ("store", 90.0),
    ("toy-kdc", 90.0),
    ("wire", 90.0),
];

/// Commit and truncate: the files that decide when a set exists and when a log may go.
const CRITICAL: &[&str] = &[
    "crates/set/src/take.rs",
    "crates/set/src/writer.rs",
    "crates/store/src/backup.rs",
    "crates/store/src/generation.rs",
    "crates/store/src/owner.rs",
];

/// What the comment above lines that no test reaches begins with.
const EXCUSE: &str = "// not covered: ";

/// Where the tests below say what the compiler must do.
pub(crate) struct Coverage {
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl Coverage {
    /// Installs what is missing and forgets the counts of the last run.
    pub(crate) fn prepare(workspace: &Workspace) -> Result<Self> {
        let program = tools::find(workspace, &TOOL)?;
        llvm_tools(workspace)?;
        let mut coverage = Self { program, environment: Vec::new() };
        forget_counts(workspace)?;
        let mut show = coverage.tool(workspace, &["show-env", "--no-cfg-coverage"]);
        let environment = process::output(show.env("LLVM_PROFILE_FILE_NAME", counts_name()))?;
        coverage.environment = variables(&environment);
        coverage.forget_old_programs(workspace)?;
        Ok(coverage)
    }

    /// Has a cargo command build with counters, and what it runs count.
    pub(crate) fn instrument(&self, cargo: &mut Command) {
        cargo.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    /// What the tests reached. The lines go to a file, too.
    pub(crate) fn report(&self, workspace: &Workspace) -> Result<Report> {
        let lines = workspace.target().join("coverage.lcov");
        let mut report = self.tool(workspace, &["report", "--lcov", "--failure-mode", "all"]);
        report.arg("--output-path").arg(&lines);
        // It says of each program of an earlier build, without counters, that it has none.
        let (said, ended) = process::capture(&mut report)?;
        if ended.is_err() {
            return Err(Failure::new(format!("cargo llvm-cov report failed: {said}")));
        }
        let text = std::fs::read_to_string(&lines);
        let text = text.context(format_args!("cannot read {}", lines.display()))?;
        println!("lines: {}", lines.display());
        Report::read(workspace, &text)
    }

    fn tool(&self, workspace: &Workspace, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(workspace.path("")).arg("llvm-cov").args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Removes what was built of our packages when dependencies, profiles or the compiler have changed: then programs get
    /// other names, and the old ones, which no test runs any more, would count as not covered.
    fn forget_old_programs(&self, workspace: &Workspace) -> Result<()> {
        let stamp = workspace.target().join("coverage.stamp");
        let compiler = process::output(Command::new("rustc").current_dir(workspace.path("")).arg("-vV"))?;
        let wanted = [workspace.read("Cargo.lock")?, workspace.read("Cargo.toml")?, compiler].concat();
        if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == wanted) {
            return Ok(());
        }
        process::run(&mut self.tool(workspace, &["clean", "--workspace"]))?;
        std::fs::write(&stamp, wanted).context(format_args!("cannot write {}", stamp.display()))
    }
}

/// The name of the files of counts: a few for each program, into which its processes take turns to add.
fn counts_name() -> String {
    let turns = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(9);
    format!("certadm-%{turns}m.profraw")
}

fn forget_counts(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target();
    for entry in std::fs::read_dir(folder).context(format_args!("cannot list {}", folder.display()))? {
        let path = entry.context(format_args!("cannot list {}", folder.display()))?.path();
        if path.extension().is_some_and(|ending| ending == "profraw") {
            std::fs::remove_file(&path).context(format_args!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The variables that cargo-llvm-cov prints for a shell. Its wrapper goes around the compiler of our packages only:
/// cargo keeps what is built so apart from the rest, in the same target folder.
fn variables(printed: &str) -> Vec<(String, String)> {
    let pairs = printed.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| {
        let name = if name == "RUSTC_WRAPPER" { "RUSTC_WORKSPACE_WRAPPER" } else { name };
        (name.to_owned(), value.trim_matches('\'').to_owned())
    });
    pairs.collect()
}

/// The toolchain's own readers of the counts. Another LLVM's cannot read them.
fn llvm_tools(workspace: &Workspace) -> Result<()> {
    let root =
        process::output(Command::new("rustc").current_dir(workspace.path("")).args(["--print", "sysroot"]))?;
    let libraries = Path::new(root.trim()).join("lib/rustlib");
    let is_there = std::fs::read_dir(&libraries).is_ok_and(|folders| {
        folders.flatten().any(|folder| folder.path().join("bin/llvm-profdata").is_file())
    });
    if is_there {
        return Ok(());
    }
    println!("adding llvm-tools to the toolchain");
    process::run(Command::new("rustup").current_dir(workspace.path("")).args([
        "component",
        "add",
        "llvm-tools",
    ]))
}

/// Lines of each crate, and what is wrong with them.
pub(crate) struct Report {
    crates: BTreeMap<String, Lines>,
    excuses_missing: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    all: u64,
    covered: u64,
}

impl Lines {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 lines")]
    fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { self.covered as f64 * 100.0 / self.all as f64 }
    }
}

impl Report {
    fn read(workspace: &Workspace, lcov: &str) -> Result<Self> {
        let crates = workspace.path("crates");
        let counts = line_counts(lcov);
        let mut report = Self { crates: BTreeMap::new(), excuses_missing: Vec::new() };
        for path in files_below(&crates, &["rs"])? {
            let Some((name, file)) = product_file(&crates, &path) else { continue };
            let Some(counts) = counts.get(path.as_path()) else { continue };
            let text =
                std::fs::read_to_string(&path).context(format_args!("cannot read {}", path.display()))?;
            let counts = before_tests(&text, counts);
            let lines = report.crates.entry(name).or_default();
            lines.all += counts.len() as u64;
            lines.covered += counts.values().filter(|count| 0 < **count).count() as u64;
            if CRITICAL.contains(&file.as_str()) {
                let missing = without_excuse(&text, &counts);
                report.excuses_missing.extend(missing.iter().map(|line| format!("{file}:{line}")));
            }
        }
        Ok(report)
    }

    /// A line for each crate.
    pub(crate) fn summary(&self) -> Vec<String> {
        let line = |(name, lines): (&String, &Lines)| {
            let floor = floor(name).map_or("no floor".to_owned(), |floor| format!("floor {floor:.0} %"));
            format!("{:<24} {:>10.1} %  {floor}", format!("lines covered, {name}"), lines.percent())
        };
        self.crates.iter().map(line).collect()
    }

    /// Whether every crate reaches its floor and every line not covered has its reason.
    pub(crate) fn verdict(&self) -> Result<()> {
        let mut wrong: Vec<String> = self
            .crates
            .iter()
            .filter_map(|(name, lines)| match floor(name) {
                None => Some(format!("{name} has no floor (xtask/src/coverage.rs)")),
                Some(floor) if lines.percent() < floor => Some(format!(
                    "{name}: {:.1} % of its lines are covered, {floor:.0} % is its floor",
                    lines.percent()
                )),
                Some(_) => None,
            })
            .collect();
        let excuse = EXCUSE.trim_end();
        wrong.extend(
            self.excuses_missing.iter().map(|place| {
                format!("{place}: no test reaches this line, and no `{excuse}` above it says why")
            }),
        );
        if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong.join("\n"))) }
    }
}

fn floor(name: &str) -> Option<f64> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// How often each line was reached, by file: `SF:` begins a file, `DA:line,count` is a line.
fn line_counts(lcov: &str) -> BTreeMap<&Path, BTreeMap<usize, u64>> {
    let mut files: BTreeMap<&Path, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut current = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current = Some(Path::new(path));
        } else if let (Some(file), Some(counted)) = (current, line.strip_prefix("DA:"))
            && let Some((number, count)) = counted.split_once(',')
            && let (Ok(number), Ok(count)) = (number.parse(), count.parse::<u64>())
        {
            *files.entry(file).or_default().entry(number).or_default() += count;
        }
    }
    files
}

/// The crate of a file and its path in the repository, unless it holds tests.
fn product_file(crates: &Path, path: &Path) -> Option<(String, String)> {
    let relative = path.strip_prefix(crates).ok()?.to_str()?;
    let (name, rest) = relative.split_once('/')?;
    let is_product = rest.starts_with("src/") && !TEST_FILES.contains(&relative);
    is_product.then(|| (name.to_owned(), format!("crates/{relative}")))
}

/// Files in `src` that are compiled for tests only.
const TEST_FILES: &[&str] = &["auth/src/testing.rs"];

/// The lines above the unit tests, which stand at the end of a file.
fn before_tests(text: &str, counts: &BTreeMap<usize, u64>) -> BTreeMap<usize, u64> {
    let mut previous = "";
    let tests = text.lines().position(|line| {
        let begins = previous == "#[cfg(test)]" && line.starts_with("mod ") && line.ends_with('{');
        previous = line;
        begins
    });
    let end = tests.unwrap_or(usize::MAX);
    counts.iter().filter(|(line, _)| **line < end).map(|(line, count)| (*line, *count)).collect()
}

/// Lines that were not reached and have no excuse on them or above them, with no line that was reached between.
fn without_excuse(text: &str, counts: &BTreeMap<usize, u64>) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let is_excused = |line: usize| {
        (1..=line)
            .rev()
            .take_while(|number| counts.get(number).is_none_or(|count| *count == 0))
            .any(|number| lines.get(number - 1).is_some_and(|text| text.contains(EXCUSE)))
    };
    let missed = counts.iter().filter(|(_, count)| **count == 0).map(|(line, _)| *line);
    missed.filter(|line| !is_excused(*line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_is_put_around_our_packages_only() {
        let read = variables("LLVM_PROFILE_FILE='/t/certadm-%2m.profraw'\nRUSTC_WRAPPER=/t/cargo-llvm-cov\n");
        let expected = [
            ("LLVM_PROFILE_FILE", "/t/certadm-%2m.profraw"),
            ("RUSTC_WORKSPACE_WRAPPER", "/t/cargo-llvm-cov"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn lines_of_tests_do_not_count() {
        let lcov = "SF:/r/crates/set/src/take.rs\nDA:1,4\nDA:2,0\nDA:5,1\nend_of_record\n";
        let counts = line_counts(lcov);
        let text = "fn a() {}\nfn b() {}\n#[cfg(test)]\nmod tests {\nfn c() {}\n}\n";
        let counts = before_tests(text, &counts[Path::new("/r/crates/set/src/take.rs")]);
        assert_eq!(counts, BTreeMap::from([(1, 4), (2, 0)]));
        let crates = Path::new("/r/crates");
        assert!(product_file(crates, Path::new("/r/crates/set/tests/suite/main.rs")).is_none());
        let (name, file) = product_file(crates, Path::new("/r/crates/set/src/take.rs")).unwrap();
        assert_eq!((name.as_str(), file.as_str()), ("set", "crates/set/src/take.rs"));
    }

    #[test]
    fn an_excuse_holds_until_the_next_line_that_was_reached() {
        let text = "reached\n// not covered: it cannot happen\nmissed\nmissed\nreached\nmissed\n";
        let counts = BTreeMap::from([(1, 1), (3, 0), (4, 0), (5, 2), (6, 0)]);
        assert_eq!(without_excuse(text, &counts), [6]);
    }

    #[test]
    fn floors_and_excuses_decide() {
        let report = |covered| Report {
            crates: BTreeMap::from([("set".to_owned(), Lines { all: 100, covered })]),
            excuses_missing: Vec::new(),
        };
        assert!(report(90).verdict().is_ok());
        assert!(report(89).verdict().unwrap_err().to_string().contains("90 % is its floor"));
        assert_eq!(report(95).summary(), ["lines covered, set             95.0 %  floor 90 %"]);
        let unexplained = Report { excuses_missing: vec!["take.rs:7".to_owned()], ..report(95) };
        assert!(unexplained.verdict().unwrap_err().to_string().starts_with("take.rs:7: no test reaches"));
    }
}
