//! Library and command as built for Windows, under Wine: the same programs give the same lines, with the same codes, as on
//! Linux. `cargo xtask windows` builds both and runs these tests.

mod service;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::library::declared;
use crate::world::{World, both, compile, good, repository, source};

/// The compiler for Windows.
const MINGW: &str = "x86_64-w64-mingw32-gcc";
/// The same for C++.
const MINGW_CPP: &str = "x86_64-w64-mingw32-g++";
/// Seconds after which a Windows program is ended: it hangs. Beside other builds a drill has taken more than 300.
const PATIENCE: &str = "1800";

/// The folder with library, import library, definition file and command.
fn bundle() -> PathBuf {
    std::env::var_os("CERTADM_WINDOWS").expect("run this by `cargo xtask windows`").into()
}

/// How Windows names a path of this machine: Wine has the root folder as drive Z.
fn seen(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

/// A CA in `ca` with an account `backup` that may do everything, both made by the command for Linux.
fn world() -> World {
    let world = World::new();
    world.account("operator --role administrator");
    world
}

/// The client's configuration, once as each system sees it: the service at `address` is `network`.
fn name_network(world: &World, address: &str) {
    let native = |name: &str| world.path(name).display().to_string();
    let through_wine = |name: &str| seen(&world.path(name));
    let write = |file: &str, path: &dyn Fn(&str) -> String| {
        let (ca, password) = (path("ca"), path("password"));
        let config = format!(
            "ca_dir = '{ca}'\n[server.network]\nhost = '{address}'\nuser = 'backup'\npassword_file = '{password}'\n"
        );
        fs::write(world.path(file), config).unwrap();
    };
    write("client.toml", &native);
    write("windows.toml", &through_wine);
}

/// What a program says on Linux, about a service on Linux.
fn said_on_linux(name: &str) -> String {
    let mut world = world();
    let address = world.start_with("--allow-remote-backup");
    name_network(&world, &address);
    world.run(&world.program(name), &["network"])
}

/// A Windows, made once. The folder is `WINEPREFIX`. Older versions of Wine lack a library that Windows has: it lies where Windows
/// has it, because a service is not started with the search path of whoever wants it started.
fn boot() {
    static BOOTED: OnceLock<()> = OnceLock::new();
    BOOTED.get_or_init(|| {
        let prefix: PathBuf =
            std::env::var_os("WINEPREFIX").expect("run this by `cargo xtask windows`").into();
        let mut command = Command::new("timeout");
        command.args(["-k", "10", PATIENCE, "wine", "wineboot", "--init"]);
        good(command.env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "mscoree,mshtml="));
        let library = prefix.join("drive_c/windows/system32/bcryptprimitives.dll");
        let shim = repository("crates/ffi/tests/c/bcryptprimitives.c");
        compile(MINGW, &shim, &library, &["-shared", "-ladvapi32"]);
    });
}

/// A work folder, and Windows beside it.
struct Windows {
    world: World,
    service: Option<Child>,
}

impl Windows {
    fn new() -> Self {
        boot();
        Self { world: world(), service: None }
    }

    fn seen(&self, name: &str) -> String {
        seen(&self.world.path(name))
    }

    /// A C program of this repository, compiled for Windows.
    fn program(&self, name: &str, flags: &[&str]) -> PathBuf {
        let source = source(name);
        let program = self.world.path(&format!("{name}{}.exe", flags.len()));
        compile(MINGW, &source, &program, flags);
        program
    }

    /// The same program, compiled as C++. It brings along what it needs of that language.
    fn program_as_cpp(&self, name: &str) -> PathBuf {
        let program = self.world.path(&format!("{name}-cpp.exe"));
        compile(MINGW_CPP, &source(name), &program, &["-static", "-lpthread"]);
        program
    }

    /// A Windows program, that ends after a while, whatever happens.
    fn wine(&self, program: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "10", PATIENCE, "wine"]).arg(program);
        command
            .current_dir(self.world.path(""))
            .stdin(Stdio::null())
            .env("WINEDEBUG", "-all")
            .env("CERTADM_CONFIG", self.seen("windows.toml"))
            .env("CERTADM_LIBRARY", seen(&bundle().join("certadm.dll")));
        command
    }

    /// Runs a Windows program that has to go well; what it said, with the line ends of Linux.
    fn run(&self, program: &Path, arguments: &[&str]) -> String {
        good(self.wine(program).args(arguments)).replace("\r\n", "\n")
    }

    /// Runs the command for Windows, with arguments separated by blanks.
    fn certadm(&self, line: &str) -> String {
        self.run(&bundle().join("certadm.exe"), &line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs the command for Windows with the configuration of jobs of the work folder; it has to end with this code. What it said.
    fn job(&self, line: &str, code: i32) -> Value {
        let mut command = self.wine(&bundle().join("certadm.exe"));
        command.arg("--json").args(line.split_whitespace()).env("CERTADM_JOBS", self.seen("certadm.toml"));
        let output = command.output().unwrap();
        let said = both(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {said}"))
    }

    /// Starts the service for Windows.
    fn start(&mut self) {
        let mut command = self.wine(&bundle().join("certadm.exe"));
        command.args(["serve", "--dir", "ca", "--listen", "127.0.0.1:0", "--allow-remote-backup"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.service = Some(child);
        let said = lines.next().expect("the service does not start").unwrap();
        let address = said.strip_prefix("Listening on ").and_then(|rest| rest.split_whitespace().next());
        name_network(&self.world, address.unwrap_or_else(|| panic!("{said}")));
    }

    /// Waits for a service that was told to stop.
    fn wait(&mut self) {
        let status = self.service.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            // Asked, and not killed: it passes that on to what it watches over.
            Command::new("kill").arg(service.id().to_string()).status().ok();
            service.wait().ok();
        }
    }
}

fn back_up(windows: &Windows, set: &str) {
    let said = windows.run(&windows.program("backup", &[]), &["network", set]);
    assert!(said.ends_with("The backup is complete.\n"), "{said}");
    let checked = windows.world.certadm(&format!("verify {{{set}}}"));
    assert!(checked.contains("it has no manifest") && checked.contains("restorable"), "{checked}");
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn exactly_the_18_names_are_exported_undecorated() {
    let bundle = bundle();
    let dumped = good(Command::new("x86_64-w64-mingw32-objdump").arg("-p").arg(bundle.join("certadm.dll")));
    let table = dumped.split("[Ordinal/Name Pointer] Table").nth(1).unwrap();
    let names = |text: &str| -> BTreeSet<String> {
        text.lines()
            .skip(1)
            .take_while(|line| !line.trim().is_empty())
            .filter_map(|line| line.split_whitespace().last())
            .map(str::to_owned)
            .collect()
    };
    let declared = declared();
    assert_eq!(declared.len(), 18);
    assert_eq!(names(table), declared);
    let definition = fs::read_to_string(bundle.join("certadm.def")).unwrap();
    assert_eq!(names(definition.split_once("EXPORTS").unwrap().1), declared);
    let import = good(Command::new("x86_64-w64-mingw32-nm").arg(bundle.join("libcertadm.dll.a")));
    assert!(declared.iter().all(|name| import.contains(&format!(" T {name}\n"))), "{import}");
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn a_backup_from_a_service_on_linux() {
    let mut windows = Windows::new();
    let address = windows.world.start_with("--allow-remote-backup");
    name_network(&windows.world, &address);
    back_up(&windows, "set");
    let said = windows.run(&windows.program("backup", &[]), &["network", "logs", "logs"]);
    assert!(said.contains("edb") && !said.contains(".db\n"), "{said}");
    let here = windows.world.run(&windows.world.program("sequence"), &["network"]);
    assert!(here.contains(" 0 wrong"), "{here}");
    assert_eq!(windows.run(&windows.program("sequence", &[]), &["network"]), here);
    let loops = windows.program("loops", &["-lpthread"]);
    for work in [["network", "prepare-end", "10"], ["network", "threads", "5"]] {
        let said = windows.run(&loops, &work);
        assert!(said.contains(" 0 wrong"), "{said}");
    }
}

/// Examples and test programs as C++: the same lines, the same sets.
#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn the_programs_as_cpp() {
    let mut windows = Windows::new();
    let address = windows.world.start_with("--allow-remote-backup");
    name_network(&windows.world, &address);
    let said = windows.run(&windows.program_as_cpp("backup"), &["network", "set"]);
    assert!(said.ends_with("The backup is complete.\n"), "{said}");
    assert!(windows.world.certadm("verify {set}").contains("restorable"));
    let here = windows.world.run(&windows.world.program("sequence"), &["network"]);
    assert_eq!(windows.run(&windows.program_as_cpp("sequence"), &["network"]), here);
    // The set is that of a CA of this machine, whose files are still there.
    let refused = windows.wine(&windows.program_as_cpp("restore")).args(["network", "set"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn every_bad_argument_has_the_code_that_it_has_on_linux() {
    let mut windows = Windows::new();
    windows.start();
    let here = said_on_linux("arguments");
    assert!(here.contains(" 0 wrong") && here.lines().count() > 250, "{here}");
    assert_eq!(windows.run(&windows.program("arguments", &[]), &["network"]), here, "loaded");
    // Linked against the import library: found beside the program, under its own name.
    fs::copy(bundle().join("certadm.dll"), windows.world.path("certadm.dll")).unwrap();
    let import = bundle().join("libcertadm.dll.a");
    let linked = windows.program("arguments", &["-DLINKED", import.to_str().unwrap()]);
    assert_eq!(windows.run(&linked, &["network"]), here, "linked");
    assert_eq!(windows.run(&windows.program("sequence", &[]), &["network"]), said_on_linux("sequence"));
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn registrations_follow_the_rules_of_linux() {
    let windows = Windows::new();
    // Nobody listens; the name is for the folder.
    name_network(&windows.world, "127.0.0.1:9");
    let database = windows.world.path("ca/database/Test-CA.db");
    let here =
        windows.world.run(&windows.world.program("registration"), &["network", database.to_str().unwrap()]);
    fs::remove_file(windows.world.path("ca/restore.json")).unwrap();
    let there = seen(&database);
    assert_eq!(windows.run(&windows.program("registration", &[]), &["network", &there]), here);
    assert!(here.contains(" 0 wrong"), "{here}");
    let record = fs::read(windows.world.path("ca/restore.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!((&record["LowLogNumber"], &record["HighLogNumber"]), (&1.into(), &9.into()));
    assert_eq!(record["RestoreMap"], serde_json::json!([[there, there]]));
    assert_eq!(record["RestoreStatus"], 0);
}

/// Makes a CA, serves it, backs it up, loses it and brings it back, all on Windows.
fn lose_and_restore(form: &[&str]) {
    let mut windows = Windows::new();
    fs::remove_dir_all(windows.world.path("ca")).unwrap();
    windows.certadm("ca init --dir ca --name Test-CA --passphrase-file pass");
    windows.world.let_callers_stop_it();
    windows.certadm("user add --dir ca backup --role operator --role administrator --password-file password");
    windows.start();
    back_up(&windows, "set");
    // ServerControl ends it, in order.
    let said = windows.run(&windows.program("loops", &["-lpthread"]), &["network", "lost"]);
    assert!(said.contains(" 0 wrong"), "{said}");
    windows.wait();
    let restore = windows.program("restore", &[]);
    let refused = windows.wine(&restore).args(["network", "set"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "its files are in the way");
    fs::create_dir(windows.world.path("lost")).unwrap();
    for folder in ["database", "log"] {
        let (of_the_ca, lost) = (format!("ca/{folder}"), format!("lost/{folder}"));
        fs::rename(windows.world.path(&of_the_ca), windows.world.path(&lost)).unwrap();
        fs::create_dir(windows.world.path(&of_the_ca)).unwrap();
    }
    let said = windows.run(&restore, &[&["network", "set"], form].concat());
    assert!(said.starts_with("The restore is registered."), "{said}");
    let request = windows.world.path("ca/restore.d/request.json");
    assert_eq!(request.exists(), !form.is_empty());
    assert_eq!(windows.world.path("ca/restore.json").exists(), form.is_empty());
    windows.start();
    assert!(!request.exists() && !windows.world.path("ca/restore.json").exists());
    back_up(&windows, "after");
    let gates = windows.certadm("doctor --server network");
    assert!(gates.contains("are open"), "{gates}");
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn a_lost_ca_comes_back_through_the_record() {
    lose_and_restore(&[]);
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn a_lost_ca_comes_back_through_a_file() {
    lose_and_restore(&["through-file"]);
}

/// A job over a CA in a folder, into a folder: by the configuration of `config init`, with drive letters in every path.
#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn a_job_protects_a_ca() {
    let windows = Windows::new();
    name_network(&windows.world, "127.0.0.1:9");
    let missing = windows.wine(&bundle().join("certadm.exe")).args(["config", "check"]).output().unwrap();
    let missing = both(&missing);
    assert!(missing.contains(r"C:\ProgramData\certadm\certadm.toml"), "{missing}");

    fs::remove_dir_all(windows.world.path("ca")).unwrap();
    fs::create_dir(windows.world.path("backups")).unwrap();
    windows.certadm("ca init --dir ca --name Test-CA --passphrase-file pass");
    let (ca, backups) = (windows.seen("ca"), windows.seen("backups"));
    windows.job(&format!("config init --ca {ca} --name web --to {backups} --file certadm.toml"), 0);
    // The records are this test's own.
    let written = fs::read_to_string(windows.world.path("certadm.toml")).unwrap();
    let state = format!("state = '{}'\n{written}", windows.seen("state"));
    fs::write(windows.world.path("certadm.toml"), state).unwrap();
    assert_eq!(windows.job("config check", 0)["ok"], true);

    let ran = windows.job("run protect", 0);
    let steps = ran["result"]["runs"][0]["steps"].as_array().unwrap();
    for step in ["full", "verify"] {
        assert!(steps.iter().any(|done| done["step"] == step && done["outcome"] == "good"), "{ran}");
    }
    assert!(windows.world.path("state").is_dir());
    let status = windows.job("status", 0);
    assert_eq!(status["result"]["cas"][0]["sets"], 1, "{status}");
    assert!(status["result"]["cas"][0]["verified"].is_string(), "{status}");

    let of_ca = format!("{backups}\\web");
    let sets = windows.job(&format!("sets {of_ca}"), 0);
    assert_eq!(sets["result"]["cas"][0]["sets"][0]["type"], "full", "{sets}");
    assert_eq!(sets["result"]["cas"][0]["sets"][0]["proven"], true, "{sets}");
    let kept = windows.job(&format!("prune {of_ca} --keep-last 1 --dry-run"), 0);
    assert_eq!(kept["result"]["sets"][0]["deleted"], false, "{kept}");
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn the_command_does_its_work() {
    let mut windows = Windows::new();
    let address = windows.world.start_with("--allow-remote-backup");
    name_network(&windows.world, &address);
    let taken = windows.certadm("backup --server network --to set");
    assert!(taken.contains("read back and compared"), "{taken}");
    windows.world.kill();
    let restorable = "restorable: generations";
    assert!(windows.world.certadm("verify {set}").contains(restorable));
    assert!(windows.certadm("verify set").contains(restorable));
    // A set and a database of a Windows CA say the same on both systems.
    let packed = repository("crates/ese/tests/data/CertLog.edb.gz");
    good(
        Command::new("sh")
            .args(["-c", "gzip -dc \"$0\" > CertLog.edb"])
            .arg(packed)
            .current_dir(windows.world.path("")),
    );
    for line in ["list set requests --csv", "list CertLog.edb certificates --csv"] {
        assert_eq!(windows.certadm(line), windows.world.certadm(line).replace("\r\n", "\n"), "{line}");
    }
    assert!(windows.certadm("completions bash").contains("-F _certadm certadm"));
    let restored = windows.certadm("restore --from set --dir ca --force");
    assert!(restored.to_lowercase().contains("restored"), "{restored}");
    let drilled = windows.certadm("drill --size 4MiB");
    assert!(drilled.contains("Drill PASSED"), "{drilled}");
}
