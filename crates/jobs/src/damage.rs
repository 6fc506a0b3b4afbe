//! Sets that a verification has found damaged. Manifests tell nothing of that: without such a note a state counts as restorable
//! that is known not to be, and log sets are appended behind it.

use std::collections::BTreeSet;

use certadm_rules::Hresult;
use certadm_rules::finding::Kind;
use certadm_set::stored::leaning_on;
use serde_json::Value;

use crate::held::{Held, HeldSet};
use crate::record::{Attempts, Damage, OfSet, Outcome, Proof, StepRecord, Trouble};

/// The exit code of a command that has found damage.
const DAMAGED: i32 = 5;
/// By so many digits of its id a set of a vault is named in messages.
const SHORT_ID: usize = 8;

impl Attempts {
    /// Notes what a verification of these sets at a place has found damaged; the sets before the first of those were found sound.
    pub(crate) fn note_damage(&mut self, place: &str, state: &[&HeldSet], damaged: &[String], when: i64) {
        let sound = state.iter().take_while(|set| !damaged.contains(&set.id));
        let read: BTreeSet<&str> =
            sound.map(|set| set.id.as_str()).chain(damaged.iter().map(String::as_str)).collect();
        self.damaged.retain(|known| known.place != place || !read.contains(known.set.as_str()));
        let noted = |set: &String| Damage { place: place.to_owned(), set: set.clone(), when };
        self.damaged.extend(damaged.iter().map(noted));
        if damaged.is_empty() {
            self.renewed = None;
        }
    }

    /// Notes that a full backup was taken at a place that held these sets: behind damage, it is the one that was to cure it.
    pub(crate) fn note_renewed(&mut self, place: &str, before: &Held, when: i64) {
        if let Some(set) = before.damaged_base() {
            self.renewed = Some(Damage { place: place.to_owned(), set, when });
        }
    }

    /// Forgets that a state was proven at a place which leans on what was found damaged there since.
    pub(crate) fn withdraw_proven(&mut self, place: &str, held: &Held, damaged: &[String], now: i64) {
        let leaning = leaning_on(&held.sets().iter().collect::<Vec<_>>(), damaged, now);
        let is_withdrawn =
            |proof: &Proof| proof.place == place && leaning.iter().any(|set| set.id == proof.set);
        self.proven = self.proven.take().filter(|proof| !is_withdrawn(proof));
    }

    /// Forgets damage of sets that a place does not hold any more. One that cannot be read may be there still.
    pub(crate) fn keep_damage_of(&mut self, place: &str, held: &Held) {
        let unsigned = || held.unsigned.iter().map(|(set, _)| set);
        let is_there = |set: &str| held.sets().iter().chain(unsigned()).any(|held| held.id == set);
        self.damaged
            .retain(|known| known.place != place || !held.unreadable.is_empty() || is_there(&known.set));
    }
}

/// Which sets of a state a verification has found damaged, by their ids: those that it says are. Where it says none, it is the full set
/// with which the state begins, and with that all of the state. What only tells that the verification itself could not go on damages none:
/// that a part of it broke down, or that a disk has failed which holds no set. Those of a vault are read from copies (`are_copies`).
pub(crate) fn found(state: &[&HeldSet], record: &StepRecord, are_copies: bool) -> Vec<String> {
    if record.outcome != Outcome::Failed || record.exit_code != DAMAGED {
        return Vec::new();
    }
    let findings = record.result["findings"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let errors = findings.iter().filter(|finding| finding["severity"] == "error");
    let mut wrong: Vec<Wrong> = errors.map(Wrong::of_finding).collect();
    if findings.is_empty() {
        wrong.extend(record.trouble.iter().map(Wrong::of_trouble));
    }
    let disk = Hresult::DISK_IO.hex();
    let is_of_a_set = |wrong: &Wrong| state.iter().any(|set| wrong.is_of(&set.id));
    let is_aside = |wrong: &Wrong| {
        wrong.kind == Kind::Internal.key() || wrong.code == disk && (are_copies || !is_of_a_set(wrong))
    };
    if !wrong.is_empty() && wrong.iter().all(is_aside) {
        return Vec::new();
    }
    wrong.retain(|wrong| !is_aside(wrong));
    let named = state.iter().filter(|set| wrong.iter().any(|wrong| wrong.is_of(&set.id)));
    let named: Vec<String> = named.map(|set| set.id.clone()).collect();
    let first = state.first().filter(|_| named.is_empty()).map(|set| set.id.clone());
    named.into_iter().chain(first).collect()
}

/// Something that a verification has found wrong.
struct Wrong {
    kind: String,
    code: String,
    set: OfSet,
    /// The path or the message. Of a program of before it alone tells the set.
    text: String,
}

impl Wrong {
    fn of_finding(finding: &Value) -> Self {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        Self { kind: text("kind"), code: text("code"), set: OfSet::of(finding), text: text("path") }
    }

    fn of_trouble(trouble: &Trouble) -> Self {
        let Trouble { kind, code, set, message, .. } = trouble.clone();
        Self { kind, code, set, text: message }
    }

    /// Whether it is about the set with this id.
    fn is_of(&self, id: &str) -> bool {
        match &self.set {
            OfSet::Named(set) => set.rsplit(['/', '\\']).next().is_some_and(|name| is_called(name, id)),
            OfSet::NoSet => false,
            OfSet::Untold => names(&self.text, id),
        }
    }
}

/// Whether a folder, or the last part of an address, is that of a set.
fn is_called(name: &str, id: &str) -> bool {
    let short = id.get(..SHORT_ID).filter(|_| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    name == id || Some(name) == short
}

/// Whether a path or a message of a program of before names a set.
fn names(text: &str, id: &str) -> bool {
    let words = text.split(['/', '\\']).chain(text.split(['/', '\\', ' ', ':', ',', ';']));
    words.into_iter().any(|word| is_called(word, id))
}

#[cfg(test)]
mod tests {
    use certadm_set::manifest::SetKind::{self, Logs};
    use serde_json::json;

    use super::*;
    use crate::held::tests::set;
    use crate::record::tests::record;
    use crate::step::Step;

    /// The list of signers could not be read for one run.
    #[test]
    fn damage_of_a_set_that_does_not_count_now_stays_known() {
        let full = set(1, SetKind::Full, (1, 2));
        let mut attempts = Attempts::default();
        attempts.note_damage("sets", &[&full], std::slice::from_ref(&full.id), 5);
        let noted = attempts.damaged.clone();
        assert_eq!(noted.len(), 1);
        let unsigned = vec![(full.clone(), "nobody".to_owned())];
        attempts.keep_damage_of("sets", &Held { unsigned, ..Held::default() });
        assert_eq!(attempts.damaged, noted);
        attempts.keep_damage_of("sets", &Held::default());
        assert!(attempts.damaged.is_empty(), "it is gone");
    }

    /// As a program of before has it.
    fn of_before(trouble: Trouble) -> Trouble {
        Trouble { set: OfSet::Untold, ..trouble }
    }

    /// A path beside the sets, or a message with a word in it that is the name of a set, condemned that set.
    #[test]
    fn the_set_that_a_verification_says_decides_and_no_word_of_a_path_or_a_message() {
        let vault = "4f2a91c0".repeat(8);
        let sets = ["full", &vault, "more"].map(|id| HeldSet { id: id.to_owned(), ..set(1, Logs, (1, 1)) });
        let state: Vec<&HeldSet> = sets.iter().collect();
        let failed = StepRecord { exit_code: 5, ..record(Step::Verify, Outcome::Failed, 1) };
        let of = |path: &str, set: Value| {
            let finding = json!({ "severity": "error", "kind": "file-changed", "path": path, "set": set });
            let result = json!({ "findings": [finding] });
            found(&state, &StepRecord { result, ..failed.clone() }, false)
        };
        assert_eq!(of("/b/more/web/full/more", json!("/b/more/web/full")), ["full"]);
        assert_eq!(of("v:more/4f2a91c0/full", json!("v:more/4f2a91c0")), [vault.as_str()]);
        // About none: all of the state is in doubt, and not only what lies behind a set whose name is in the path.
        assert_eq!(of("/tmp/more/database", json!(null)), ["full"]);
        let said = |set: OfSet| {
            let text = "v:more is damaged: no more packs".to_owned();
            let trouble = vec![Trouble { set, ..Trouble::of_code(Hresult::E_FAIL, text, "") }];
            found(&state, &StepRecord { trouble, ..failed.clone() }, true)
        };
        assert_eq!(said(OfSet::Untold), ["more"]);
        assert_eq!(said(OfSet::NoSet), ["full"]);
        assert_eq!(said(OfSet::Named("v:more/4f2a91c0".to_owned())), [vault.as_str()]);
    }

    #[test]
    fn a_trouble_keeps_what_was_said_of_its_set() {
        let text = |set: &str| format!(r#"{{"code":"","kind":"","message":"m","remedy":null{set}}}"#);
        for (set, expected) in [
            ("", OfSet::Untold),
            (r#","set":null"#, OfSet::NoSet),
            (r#","set":"/b/full""#, OfSet::Named("/b/full".to_owned())),
        ] {
            let trouble: Trouble = serde_json::from_str(&text(set)).unwrap();
            assert_eq!(trouble.set, expected);
            let again: Trouble = serde_json::from_value(json!(trouble)).unwrap();
            assert_eq!(again, trouble);
        }
    }

    #[test]
    fn a_verification_tells_which_sets_are_damaged_or_all_of_them_are() {
        let vault = "4f2a91c0".repeat(8);
        let ids = ["20261130T000000Z-full", "a set by hand", vault.as_str(), "more"];
        let sets = ids.map(|id| HeldSet { id: id.to_owned(), ..set(1, Logs, (1, 1)) });
        let state: Vec<&HeldSet> = sets.iter().collect();
        let failed = record(Step::Verify, Outcome::Failed, 1);
        let of = |exit_code, findings: &Value, message: &str| {
            let trouble = of_before(Trouble::of_code(Hresult::E_FAIL, message.to_owned(), ""));
            let result = json!({ "findings": findings });
            found(&state, &StepRecord { exit_code, result, trouble: vec![trouble], ..failed.clone() }, false)
        };
        let at = |severity, path: &str| json!({ "severity": severity, "path": path });
        let one = json!([at("warning", "/b/more/x"), at("error", "/b/web/a set by hand/edb00001.log")]);
        assert_eq!(of(5, &one, ""), ["a set by hand"]);
        let two = json!([at("error", "/b/20261130T000000Z-full/x"), at("error", "v:CA/4f2a91c0/x")]);
        assert_eq!(of(5, &two, ""), [ids[0], ids[2]]);
        let none = json!([]);
        assert_eq!(of(5, &none, "v:CA/4f2a91c0 is damaged: x: its bytes differ"), [ids[2]]);
        // Nobody knows which one.
        assert_eq!(of(5, &none, "v:CA is damaged: an index"), [ids[0]]);
        assert_eq!(of(5, &json!([at("warning", "/b/more/x")]), "more"), [ids[0]]);
        // Whoever could not look has found nothing.
        for code in [3, 4, 70] {
            assert!(of(code, &one, "").is_empty());
        }
        assert!(found(&[], &StepRecord { exit_code: 5, ..failed }, false).is_empty());
    }

    /// A scratch disk that failed condemned the set whose copy lay there: its folder has the name of the set.
    #[test]
    fn what_kept_a_verification_from_going_on_damages_no_set() {
        let vault = "4f2a91c0".repeat(8);
        let sets =
            ["20261130T000000Z-full", &vault].map(|id| HeldSet { id: id.to_owned(), ..set(1, Logs, (1, 1)) });
        let state: Vec<&HeldSet> = sets.iter().collect();
        let failed = StepRecord { exit_code: 5, ..record(Step::Verify, Outcome::Failed, 1) };
        let of = |are_copies, wrong: &[(&str, Hresult, &str)]| {
            let at = |(kind, code, path): &(&str, Hresult, &str)| {
                let code = code.hex();
                json!({ "severity": "error", "kind": kind, "code": code, "path": path })
            };
            let findings: Vec<Value> = wrong.iter().map(at).collect();
            found(
                &state,
                &StepRecord { result: json!({ "findings": findings }), ..failed.clone() },
                are_copies,
            )
        };
        let in_copy = ("unreadable", Hresult::DISK_IO, "v:CA/4f2a91c0/edb00001.log");
        let in_set = ("unreadable", Hresult::DISK_IO, "/b/web/20261130T000000Z-full/x");
        let in_scratch = ("unreadable", Hresult::DISK_IO, "/tmp/certadm-1/database");
        let broken = ("internal", Hresult::E_UNEXPECTED, "/b/web/20261130T000000Z-full");
        let changed = ("file-changed", Hresult::ERROR_INVALID_DATA, "v:CA/4f2a91c0/x");
        for (are_copies, aside) in [(true, in_copy), (true, broken), (false, broken), (false, in_scratch)] {
            assert!(of(are_copies, &[aside]).is_empty(), "{aside:?}");
            assert_eq!(of(are_copies, &[aside, changed]), [sets[1].id.clone()], "{aside:?}");
        }
        assert_eq!(of(false, &[in_set]), [sets[0].id.clone()], "the disk of the set itself");
        // While the copy is made, nothing but the message tells of it.
        let text = "cannot write /tmp/certadm-1/4f2a91c0/database: Input/output error";
        let trouble = vec![of_before(Trouble::of_code(Hresult::DISK_IO, text.to_owned(), ""))];
        let copying = StepRecord { trouble, ..failed.clone() };
        assert!(found(&state, &copying, true).is_empty());
    }
}
