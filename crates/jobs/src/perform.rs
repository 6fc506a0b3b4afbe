//! Carrying a step out: `certadm` itself, in a process of its own. So a step that breaks down takes nothing with it, and
//! several CAs do not disturb each other.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use certadm_files::cancel;
use certadm_rules::Hresult;
use certadm_rules::diagnosis::Class;
use certadm_rules::finding::{Place, Spot};
use serde_json::Value;

use crate::children;
use crate::command::Words;
use crate::config::{Config, VARIABLE};
use crate::lock::CaLock;
use crate::place::trouble;
use crate::record::{Outcome, Trouble};
use crate::trouble::OfSet;

/// No command says more than this, in bytes.
const MAX_SAID: u64 = 64 << 20;
/// How often it is looked whether the command has ended, or is to be stopped.
const GLANCE: Duration = Duration::from_millis(20);
/// No more findings of a command are kept than this.
pub(crate) const MOST_TROUBLES: usize = 20;

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Performed {
    /// How it ended.
    pub outcome: Outcome,
    /// Its exit code.
    pub exit_code: i32,
    /// What is wrong.
    pub trouble: Vec<Trouble>,
    /// Its result.
    pub result: Value,
}

impl Performed {
    /// A command that could not be run, or that was not needed to know that it would fail.
    #[must_use]
    pub fn failed(trouble: Trouble, class: Class) -> Self {
        let (outcome, exit_code) = match class {
            Class::Interrupted => (Outcome::Interrupted, 130),
            Class::Usage => (Outcome::Failed, 2),
            Class::Refused => (Outcome::Failed, 3),
            Class::Unreachable => (Outcome::Failed, 4),
            Class::Damaged => (Outcome::Failed, 5),
            Class::Internal => (Outcome::Failed, 70),
        };
        Self { outcome, exit_code, trouble: vec![trouble], result: Value::Null }
    }

    /// What became of a command that ended with this code and said this object (docs/json.md).
    #[must_use]
    pub fn of(exit_code: i32, object: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let error_code = text(&object["error"]["code"]).unwrap_or_default();
        let error = object["error"].as_object().map(|_| Trouble {
            id: if exit_code == 4 { Class::Unreachable.to_string() } else { error_code.clone() },
            code: error_code,
            kind: "failure".to_owned(),
            message: text(&object["error"]["message"]).unwrap_or_default(),
            remedy: text(&object["error"]["remedy"]),
            set: OfSet::of(&object["error"]),
        });
        let result = object["result"].clone();
        let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
        let found = list(&result["findings"]).into_iter().filter(|finding| finding["severity"] != "note");
        // `doctor` tells a gate that is shut, and `complete` what is of another CA, as a result and as neither error nor finding.
        let shut = list(&result["gates"]).into_iter().filter(|gate| gate["verdict"] == "shut");
        let checks = list(&result["components"]).into_iter().flat_map(|component| list(&component["checks"]));
        let wrong = checks.filter(|check| result["contradicts"] == true && check["ok"] == false);
        let found = shut.chain(found).chain(wrong).collect::<Vec<_>>();
        let found = found.iter().map(|finding| Trouble {
            id: which(finding),
            code: text(&finding["code"]).unwrap_or_default(),
            kind: text(&finding["kind"]).or_else(|| text(&finding["name"])).unwrap_or_default(),
            message: with_place(finding),
            remedy: text(&finding["remedy"]),
            set: OfSet::of(finding),
        });
        let outcome = match exit_code {
            0 => Outcome::Good,
            1 => Outcome::Finding,
            130 | 143 => Outcome::Interrupted,
            _ => Outcome::Failed,
        };
        // `backup` says so beside a set that is whole.
        let unconfirmed = text(&result["end_error"]).map(|error| Trouble {
            id: "end-not-confirmed".to_owned(),
            code: Hresult::E_FAIL.hex(),
            kind: "end-not-confirmed".to_owned(),
            message: format!("the set is whole, but the CA did not confirm its end: {error}"),
            remedy: Some("take another full backup".to_owned()),
            set: OfSet::NoSet,
        });
        let trouble: Vec<_> = error.into_iter().chain(unconfirmed).chain(found).take(MOST_TROUBLES).collect();
        Self { outcome, exit_code, trouble, result }
    }

    /// Whether the same command may succeed a little later: the CA cannot be reached, or is busy with another backup.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        /// What tells that somebody else is at work.
        const BUSY: [Hresult; 5] = [
            Hresult::BACKUP_IN_PROGRESS,
            Hresult::SURROGATE_BACKUP_IN_PROGRESS,
            Hresult::ERROR_SHARING_VIOLATION,
            Hresult::ERROR_BUSY,
            Hresult::ERROR_SERVICE_ALREADY_RUNNING,
        ];
        self.outcome == Outcome::Failed
            && (self.exit_code == 4 || BUSY.iter().any(|code| self.has_code(*code)))
    }

    fn has_code(&self, code: Hresult) -> bool {
        self.trouble.iter().any(|trouble| trouble.has_code(code))
    }
}

/// Which finding it is. Each backup lies in another folder, so that only the file's own name counts; numbers in the detail change.
fn which(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    // Those of a rehearsal have one; gates and checks have a name.
    match (text("id"), text("kind"), text("name")) {
        ("", "", name) => name.to_owned(),
        ("", kind, _) => {
            let file = Path::new(text("path")).file_name().unwrap_or_default();
            format!("{kind}:{}:{}", text("code"), file.to_string_lossy())
        }
        (id, ..) => id.to_owned(),
    }
}

/// What was found, with its place: whoever hears of it has to know which file it is.
fn with_place(finding: &Value) -> String {
    let detail = finding["detail"].as_str().unwrap_or_default();
    let number = |key: &str| finding[key].as_u64().and_then(|number| u32::try_from(number).ok());
    let through = |first| number("through").unwrap_or(first);
    let page = number("page").map(|page| Spot::pages(page, through(page)));
    let spot = page.or_else(|| number("generation").map(|log| Spot::logs(log, through(log))));
    let place = Place { file: finding["path"].as_str().map(PathBuf::from), spot };
    match finding["path"].as_str() {
        // What the system says names the file itself.
        Some(path) if detail.contains(path) => detail.to_owned(),
        _ if place.is_none() => detail.to_owned(),
        _ => format!("{place}: {detail}"),
    }
}

/// Whoever carries commands out.
pub trait Perform: Sync {
    /// Carries one out, and returns when it has ended.
    fn perform(&self, words: &Words, lock: &CaLock) -> Performed;
}

/// The command of a file, such as this program.
#[derive(Clone, Debug)]
pub struct Program {
    file: PathBuf,
    config: PathBuf,
}

impl Program {
    /// The program `file`, which reads the configuration that this one has read.
    #[must_use]
    pub fn new(file: PathBuf, config: &Config) -> Self {
        Self { file, config: config.source.clone() }
    }

    fn start(&self, words: &Words, lock: &CaLock) -> std::io::Result<Child> {
        let lock = lock.share().map_err(std::io::Error::other)?;
        let mut command = children::of_this_program(&self.file, Some(lock));
        command.arg("--json").args(words.0.iter().map(OsStr::new));
        command.env(VARIABLE, &self.config).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    }
}

impl Perform for Program {
    fn perform(&self, words: &Words, lock: &CaLock) -> Performed {
        let unable = |error: &std::io::Error| {
            let text = format!("cannot run {}: {error}", self.file.display());
            let code = Hresult::ERROR_INTERNAL_ERROR;
            Performed::failed(trouble(code, text, "see whether the program is still there"), Class::Internal)
        };
        let mut child = match self.start(words, lock) {
            Ok(child) => child,
            Err(error) => return unable(&error),
        };
        let Some(mut out) = child.stdout.take() else { return unable(&std::io::Error::other("no output")) };
        let said = thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut said = Vec::new();
                let read = out.by_ref().take(MAX_SAID).read_to_end(&mut said);
                // What is too long is read on, so that the command does not wait for its reader.
                read.and_then(|_| std::io::copy(&mut out, &mut std::io::sink())).map(|_| said)
            });
            let mut is_stopped = false;
            while !reader.is_finished() {
                if !is_stopped && cancel::requested().is_some() {
                    is_stopped = true;
                    children::ask_to_stop(&mut child);
                }
                thread::sleep(GLANCE);
            }
            reader.join().unwrap_or_else(|_| Err(std::io::Error::other("its reader broke down")))
        });
        match (child.wait(), said) {
            (Ok(status), Ok(said)) => understand(children::code_of(status), &said),
            (Err(error), _) | (_, Err(error)) => unable(&error),
        }
    }
}

/// Reads what a command has said (docs/json.md).
fn understand(exit_code: i32, said: &[u8]) -> Performed {
    if let Ok(object) = serde_json::from_slice::<Value>(said) {
        return Performed::of(exit_code, &object);
    }
    let text = format!("the command ended with code {exit_code}, and said nothing that can be read");
    let code = Hresult::ERROR_INTERNAL_ERROR;
    let broken = trouble(code, text, "run the command by hand and read what it says");
    let class = if matches!(exit_code, 130 | 143) { Class::Interrupted } else { Class::Internal };
    Performed { exit_code, ..Performed::failed(broken, class) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_says_is_understood() {
        let busy = br#"{"result":null,"ok":false,"exit_code":3,"error":{"code":"0xc80001f9","name":"x","message":"m","remedy":"r"}}"#;
        let performed = understand(3, busy);
        assert!(performed.is_passing(), "{performed:?}");
        assert_eq!(performed.trouble[0].remedy.as_deref(), Some("r"));
        let lacking = br#"{"result":null,"error":{"code":"0xc8000230","message":"m","remedy":"r"}}"#;
        assert!(!understand(3, lacking).is_passing(), "only a full backup helps");
        let found = br#"{"result":{"findings":[{"severity":"note","code":"0x0","kind":"a","detail":"b","remedy":null},
            {"severity":"warning","code":"0x1","kind":"disk-space","detail":"d","remedy":"r"}]},"error":null}"#;
        let performed = understand(1, found);
        assert_eq!((performed.outcome, performed.trouble.len()), (Outcome::Finding, 1));
        assert_eq!(performed.trouble[0].kind, "disk-space");
        assert_eq!(performed.trouble[0].message, "d", "it has no place");
        assert_eq!(performed.trouble[0].id, "disk-space:0x1:");
        let damaged = br#"{"result":{"findings":[
            {"severity":"error","code":"0x1","kind":"file-changed","detail":"its bytes differ","path":"/b/edb00006.log","generation":6,"remedy":"r"},
            {"severity":"error","code":"0x1","kind":"page-checksum","detail":"it is wrong","path":"v:CA/1/a.edb","page":6,"through":8,"remedy":"r"},
            {"severity":"error","code":"0x1","kind":"unreadable","detail":"cannot open /b/x: denied","path":"/b/x","remedy":"r"}]},"error":null}"#;
        let performed = understand(5, damaged);
        assert_eq!(performed.trouble[0].id, "file-changed:0x1:edb00006.log");
        let told: Vec<String> = performed.trouble.into_iter().map(|trouble| trouble.message).collect();
        assert_eq!(
            told,
            [
                "/b/edb00006.log: its bytes differ",
                "v:CA/1/a.edb: pages 6 to 8: it is wrong",
                "cannot open /b/x: denied"
            ]
        );
        let unconfirmed =
            br#"{"result":{"findings":[],"end_error":"the CA is gone (0x800706ba)"},"error":null}"#;
        let performed = understand(1, unconfirmed);
        assert!(
            performed.trouble[0].message.ends_with("did not confirm its end: the CA is gone (0x800706ba)")
        );
        assert_eq!(performed.trouble[0].remedy.as_deref(), Some("take another full backup"));
        // A gate that is shut is what the alarm is about; a mere remark at an open one is not.
        let shut = br#"{"result":{"findings":[],"gates":[
            {"gate":"port","verdict":"shut","severity":"error","code":"0x800706ba","kind":"gate-port","detail":"d","remedy":"r"},
            {"gate":"name","verdict":"open","severity":"note","code":null,"kind":"gate-name","detail":"x","remedy":null}]},"error":null}"#;
        let performed = understand(4, shut);
        assert_eq!(
            (performed.trouble.len(), performed.trouble[0].message.as_str()),
            (1, "d"),
            "{performed:?}"
        );
        let of_another = br#"{"result":{"contradicts":true,"findings":[],"components":[{"checks":[
            {"name":"read","ok":true,"detail":"x","remedy":null},{"name":"key","ok":false,"detail":"d","remedy":"r"}]}]},"error":null}"#;
        let performed = understand(5, of_another);
        assert_eq!(
            (performed.trouble.len(), performed.trouble[0].message.as_str()),
            (1, "d"),
            "{performed:?}"
        );
        let incomplete = String::from_utf8_lossy(of_another).replace("true,\"findings", "false,\"findings");
        assert!(understand(1, incomplete.as_bytes()).trouble.is_empty(), "the verdict tells it");
        assert_eq!(understand(4, busy).outcome, Outcome::Failed);
        assert!(understand(4, b"").is_passing(), "unreachable, whatever it said");
        assert_eq!(understand(143, b"").outcome, Outcome::Interrupted);
        assert_eq!(understand(137, b"x").outcome, Outcome::Failed);
    }
}
