//! `certadm agent` as a service of Windows, by the service control manager that Wine has.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use super::{Windows, bundle, name_network};
use crate::world::both;

/// Where the registry has what the system knows of the service, and of its source in the event log.
const SERVICE: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\certadm-agent";
const SOURCE: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\certadm";
/// Wine keeps no event log, but tells what is written to it.
const TOLD: &str = "-all,fixme+advapi,trace+eventlog,err+eventlog";

/// A program that waits for its input, and keeps Windows running: without one it ends, and its services with it.
struct Running {
    program: Child,
    _says: BufReader<ChildStdout>,
}

impl Running {
    /// Returns when it runs. Whatever starts Windows lends it its standard error for good: a command whose output is waited for
    /// must not.
    fn new(windows: &Windows) -> Self {
        let mut command = windows.wine("cmd.exe".as_ref());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = command.spawn().unwrap();
        let mut says = BufReader::new(program.stdout.take().unwrap());
        let mut line = String::new();
        assert_ne!(says.read_line(&mut line).unwrap(), 0, "Windows does not start");
        Self { program, _says: says }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        self.program.wait().ok();
    }
}

/// Waits until something is so, and says what was not when it never is.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(900), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a program of the system; what it said.
fn system(windows: &Windows, program: &str, arguments: &[&str]) -> String {
    both(&windows.wine(program.as_ref()).args(arguments).output().unwrap())
}

/// What lies in the folder of the CA's sets.
fn in_backups(windows: &Windows) -> Vec<String> {
    let names = fs::read_dir(windows.world.path("backups/web")).into_iter().flatten();
    names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// A CA whose backup takes minutes, because it may read only so many bytes a second.
fn configure(windows: &Windows) {
    let folder = certadm_store::Folder::new(windows.world.path("ca"));
    let mut writer = certadm_store::Writer::open(&folder).unwrap();
    let sql = "INSERT INTO Requests (Disposition, RawRequest) VALUES (30, randomblob(8388608))";
    writer
        .commit(|transaction| {
            transaction.execute(sql, []).map_err(certadm_store::Error::from)?;
            Ok::<_, certadm_store::Error>(())
        })
        .unwrap();
    drop(writer);
    fs::create_dir(windows.world.path("backups")).unwrap();
    let [state, ca, backups] = ["state", "ca", "backups"].map(|name| windows.seen(name));
    let text = format!(
        "state = '{state}'\n[ca]\nweb = {{ dir = '{ca}' }}\n\
         [job.protect]\nca = 'web'\nto = '{backups}'\nfull = 'daily 02:00'\nbandwidth = '16KiB/s'\n\
         [notify.log]\nevent-log = true\n"
    );
    fs::write(windows.world.path("certadm.toml"), text).unwrap();
}

#[test]
#[ignore = "needs Wine and the build for Windows: cargo xtask windows"]
fn the_agent_is_a_service() {
    let windows = Windows::new();
    name_network(&windows.world, "127.0.0.1:9");
    configure(&windows);
    let _running = Running::new(&windows);

    // An alarm goes to the event log: number 101 as an error.
    let mut command = windows.wine(&bundle().join("certadm.exe"));
    command.args(["--json", "status", "--notify"]).env("CERTADM_JOBS", windows.seen("certadm.toml"));
    let said = both(&command.env("WINEDEBUG", TOLD).output().unwrap());
    assert!(said.contains("alarm begins: web (protect): late: no state of the CA"), "{said}");
    assert!(said.contains(",0x0001,0x0000,0x00000065,"), "{said}");
    assert!(!said.contains("could not be told"), "{said}");
    let status: serde_json::Value = serde_json::from_str(said.lines().next().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(status["result"]["cas"][0]["free"].as_u64().is_some_and(|free| 0 < free), "{status}");

    let refused = windows.job("agent --service", 2);
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(said.contains("has not started this process"), "{refused}");

    // Wine has not everything that a service can have, and says so.
    let installed = windows.job("agent install", 1);
    assert_eq!(installed["result"]["new"], true, "{installed}");
    let warnings = installed["result"]["warnings"].as_array().unwrap();
    let of_wine =
        |warning: &serde_json::Value| warning.to_string().contains("the service does not get a start");
    assert!(warnings.iter().all(of_wine), "{installed}");
    let known = system(&windows, "reg", &["query", SERVICE]);
    for part in ["certadm.exe agent --service --config", "LocalSystem", "PreshutdownTimeout", "Description"] {
        assert!(known.contains(part), "{part}: {known}");
    }
    let known = system(&windows, "reg", &["query", SOURCE]);
    assert!(known.contains(r"%SystemRoot%\System32\EventCreate.exe"), "{known}");
    assert_eq!(windows.job("agent install", 1)["result"]["new"], false, "it is changed");

    // It backs up, is stopped meanwhile, and leaves nothing.
    system(&windows, "net", &["start", "certadm-agent"]);
    let state = || system(&windows, "sc", &["query", "certadm-agent"]);
    until("the agent judges", || windows.world.path("state/status.html").exists());
    until("the agent backs up", || !in_backups(&windows).is_empty());
    let said = state();
    assert!(said.contains("RUNNING"), "{said}");
    system(&windows, "net", &["stop", "certadm-agent"]);
    until("the service stops", || state().contains("STOPPED"));
    let said = state();
    assert!(said.contains("WIN32_EXIT_CODE    : 0 "), "{said}");
    assert_eq!(in_backups(&windows), Vec::<String>::new());
    let status = windows.job("status", 1);
    assert_eq!(status["result"]["cas"][0]["sets"], 0, "{status}");

    // A configuration that is refused is its exit code.
    let good = fs::read_to_string(windows.world.path("certadm.toml")).unwrap();
    fs::write(windows.world.path("certadm.toml"), format!("wrong = 1\n{good}")).unwrap();
    system(&windows, "net", &["start", "certadm-agent"]);
    until("the service ends", || {
        let said = state();
        said.contains("STOPPED") && said.contains("SERVICE_EXIT_CODE  : 2 ")
    });

    windows.job("agent uninstall", 0);
    for key in [SERVICE, SOURCE] {
        let known = system(&windows, "reg", &["query", key]);
        assert!(!known.contains("ImagePath") && !known.contains("EventCreate"), "{known}");
    }
    let again = windows.job("agent uninstall", 3);
    assert_eq!(again["error"]["code"], "0x80070424", "{again}");
}
