//! The loops through which most bytes go, and how many instructions they take beside the last release.
//!
//! valgrind's callgrind counts instructions, so that neither the pace of the machine nor other work changes the numbers. They are
//! those of the tests' build, in which the crates of these loops are optimised. `bench/instructions.tsv` has a column for each
//! release; `CERTADM_INSTRUCTIONS=FILE` writes what was counted as a new column's values.

use std::path::Path;
use std::process::{Command, Stdio};

use certadm_auth::{Established, Level};
use certadm_ese::Database;
use certadm_ese::ca::{View, ViewName};
use certadm_ese::pager::FilePager;
use certadm_ese::recovery::{LogInput, Plan};
use certadm_set::manifest::{CaIdentity, FileEntry, Manifest, Role, SetKind};

use crate::error::Result;
use crate::{ese_data, ese_logs, seal_speed};

/// More than this of the last release's count is a regression. A processor with other instructions for hashes and copies changes
/// less than that.
const WORST: f64 = 1.25;

/// Set for the run that is counted.
const COUNTED: &str = "CERTADM_HOT_LOOPS";
/// Where the counts are written.
const WRITTEN: &str = "CERTADM_INSTRUCTIONS";

/// Pages of the database that is replayed, and how often the logs change each.
const REPLAYED: (u32, u32) = (512, 4);
/// Messages that are sealed.
const MESSAGES: usize = 200;
/// Files of the manifest.
const FILES: u32 = 200;

/// What it does, as the table says it; the function's name, by which callgrind knows it; the function.
type Loop = (&'static str, &'static str, fn(&mut Inputs) -> Result<()>);

/// Where the functions are.
const MODULE: &str = concat!(module_path!(), "::");

/// In the order in which they run.
const LOOPS: [Loop; 6] = [
    ("judge every page and tree of a Windows database of 1 MiB", "loop_verify", loop_verify),
    ("read every column of its requests and certificates", "loop_rows", loop_rows),
    ("replay logs that change each of 512 pages four times", "loop_replay", loop_replay),
    ("seal 200 messages of NTLM", "loop_seal", loop_seal),
    ("unseal them", "loop_unseal", loop_unseal),
    ("write and parse a manifest of 200 files", "loop_manifest", loop_manifest),
];

/// What the loops work on, made before anything is counted.
struct Inputs {
    database: Vec<u8>,
    replay: tempfile::TempDir,
    client: Established,
    server: Established,
    messages: Vec<Vec<u8>>,
}

impl Inputs {
    fn make() -> Result<Self> {
        let replay = tempfile::tempdir()?;
        let path = replay.path().join("replay.edb");
        let (pages, changes) = REPLAYED;
        let leaves = ese_data::create(&path, "CertificateExtensions", |_, page| 256 + pages <= page)?;
        ese_logs::create(&path, "CertificateExtensions", leaves, changes)?;
        let (client, server) = seal_speed::connect()?;
        let messages = vec![seal_speed::unsealed(&server.sealer); MESSAGES];
        Ok(Self { database: ese_data::small_database()?, replay, client, server, messages })
    }
}

#[inline(never)]
fn loop_verify(inputs: &mut Inputs) -> Result<()> {
    let report = Database::open(inputs.database.as_slice())?.verify(&mut |_| {})?;
    assert!(report.is_sound());
    Ok(())
}

#[inline(never)]
fn loop_rows(inputs: &mut Inputs) -> Result<()> {
    let database = Database::open(inputs.database.as_slice())?;
    for name in [ViewName::Requests, ViewName::Certificates] {
        let view = View::open(&database, name)?;
        assert!(view.rows().filter(std::result::Result::is_ok).count() > 7);
    }
    Ok(())
}

#[inline(never)]
fn loop_replay(inputs: &mut Inputs) -> Result<()> {
    let open = |path: &Path| -> Result<FilePager> { Ok(FilePager::new(std::fs::File::open(path)?)?) };
    let (mut database, mut logs) = (None, Vec::new());
    for entry in std::fs::read_dir(inputs.replay.path())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match path.extension().is_some_and(|extension| extension == "log") {
            true => logs.push((name, open(&path)?)),
            false => database = Some(open(&path)?),
        }
    }
    let logs: Vec<_> = logs.iter().map(|(name, file)| LogInput { name, file }).collect();
    let database = database.ok_or("no database was made")?;
    Plan::new(Some(&database), &logs)?.rehearse(1 << 30, &mut |_| {})?;
    Ok(())
}

#[inline(never)]
fn loop_seal(inputs: &mut Inputs) -> Result<()> {
    seal_speed::seal(&mut inputs.server.sealer, &mut inputs.messages)
}

#[inline(never)]
fn loop_unseal(inputs: &mut Inputs) -> Result<()> {
    let token = inputs.server.sealer.token_size(Level::Privacy);
    seal_speed::unseal(&mut inputs.client.unsealer, token, &mut inputs.messages)
}

#[inline(never)]
fn loop_manifest(_: &mut Inputs) -> Result<()> {
    let ca = CaIdentity {
        name: "ca".to_owned(),
        host: "ca1".to_owned(),
        database_signature: String::new(),
        stream_signature: String::new(),
    };
    let mut manifest = Manifest::new(ca, SetKind::Logs, "2026-01-01T00:00:00Z".to_owned());
    manifest.finished = "2026-01-01T00:00:01Z".to_owned();
    manifest.files = (1..=FILES)
        .map(|generation| FileEntry {
            path: format!("DataBase/edb{generation:05x}.log"),
            role: Role::Log,
            source: format!(r"\\ca1\c$\ca\edb{generation:05x}.log"),
            size: 1 << 20,
            blake3: "0".repeat(64),
            sha256: Some("0".repeat(64)),
        })
        .collect();
    (manifest.generations.low, manifest.generations.high) = (1, FILES);
    let bytes = manifest.complete()?;
    assert_eq!(Manifest::parse(&bytes)?, manifest);
    Ok(())
}

/// Runs this test again under callgrind, which dumps what it counted before and after each loop. Gives the counts in the order of
/// [`LOOPS`].
fn count(test: &str) -> Result<Vec<u64>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("counts");
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    for (_, function, _) in LOOPS {
        command.args(["before", "after"].map(|when| format!("--dump-{when}={MODULE}{function}")));
    }
    command.arg(std::env::current_exe()?).args(["--exact", test]);
    let output = command.env(COUNTED, "1").stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let mut dumps = Vec::new();
    for entry in std::fs::read_dir(folder.path())? {
        dumps.push(std::fs::read_to_string(entry?.path())?);
    }
    LOOPS.iter().map(|(_, function, _)| counted(&dumps, function)).collect()
}

/// What the dump counted that was made after this function.
fn counted(dumps: &[String], function: &str) -> Result<u64> {
    let trigger = format!("desc: Trigger: --dump-after={MODULE}{function}");
    let dump = dumps.iter().find(|dump| dump.lines().any(|line| line == trigger));
    let dump = dump.ok_or_else(|| format!("callgrind did not see {function}"))?;
    let total = dump.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("a dump without a sum")?.parse()?)
}

/// The counts of the last release: the last column of the table.
fn last_release(table: &str) -> Result<Vec<(&str, u64)>> {
    let rows = table.lines().skip(1).map(|line| {
        let (name, counts) = line.split_once('\t').ok_or("a row without counts")?;
        Ok((name, counts.rsplit('\t').next().unwrap_or_default().parse()?))
    });
    rows.collect()
}

mod tests {
    use super::*;

    #[test]
    fn hot_loops_take_no_more_instructions_than_in_the_last_release() {
        const NAME: &str = "hot::tests::hot_loops_take_no_more_instructions_than_in_the_last_release";
        if std::env::var_os(COUNTED).is_some() {
            let mut inputs = Inputs::make().unwrap();
            LOOPS.iter().for_each(|(_, _, run)| run(&mut inputs).unwrap());
            return;
        }
        if std::env::var_os("LLVM_PROFILE_FILE").is_some() {
            println!("skipped: the counts of a build for coverage are others");
            return;
        }
        if Command::new("valgrind").arg("--version").output().is_err() {
            println!("skipped: valgrind is not installed");
            return;
        }
        let counts = count(NAME).unwrap();
        if let Some(file) = std::env::var_os(WRITTEN) {
            let rows = LOOPS.iter().zip(&counts).map(|((name, ..), count)| format!("{name}\t{count}\n"));
            std::fs::write(file, rows.collect::<String>()).unwrap();
        }
        let table = include_str!("../instructions.tsv");
        let released = last_release(table).unwrap();
        assert_eq!(released.len(), LOOPS.len());
        let mut worse = Vec::new();
        for (((name, ..), count), (named, last)) in LOOPS.iter().zip(counts).zip(released) {
            assert_eq!(*name, named);
            #[expect(clippy::cast_precision_loss, reason = "a ratio for a person")]
            let ratio = count as f64 / last as f64;
            println!("{name}: {count} instructions, {ratio:.3} of the last release");
            if ratio > WORST {
                worse.push(format!("{name}: {ratio:.2}"));
            }
        }
        assert!(
            worse.is_empty(),
            "more instructions than in the last release: {worse:?}; BENCHMARKS.md says what to do"
        );
    }

    #[test]
    fn dumps_and_the_table_are_read() {
        let dump = |function: &str, total: u64| {
            format!(
                "version: 1\ndesc: Trigger: --dump-after={MODULE}{function}\nsummary: 1\n\ntotals: {total}\n"
            )
        };
        let dumps = [dump("loop_a", 12), dump("loop_ab", 13)];
        assert_eq!(counted(&dumps, "loop_ab").unwrap(), 13);
        assert!(counted(&dumps, "loop_b").is_err());
        assert_eq!(last_release("loop\t1.0\t1.1\na b\t5\t7\n").unwrap(), [("a b", 7)]);
        assert!(last_release("loop\t1.0\na b\n").is_err());
    }
}
