//! Sets that a verification has found damaged. Manifests tell nothing of that: without such a note a state counts as restorable
//! that is known not to be, and log sets are appended behind it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::held::{Held, HeldSet};
use crate::record::{Attempts, Damage, Outcome, StepRecord};

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
    }

    /// Forgets damage of sets that a place does not hold any more. One that cannot be read may be there still.
    pub(crate) fn keep_damage_of(&mut self, place: &str, held: &Held) {
        let is_there = |set: &str| held.sets().iter().any(|held| held.id == set);
        self.damaged
            .retain(|known| known.place != place || !held.unreadable.is_empty() || is_there(&known.set));
    }
}

/// Which sets of a state a verification has found damaged, by their ids: those that it names. Where it names none, it is the full set
/// with which the state begins, and with that all of the state.
pub(crate) fn found(state: &[&HeldSet], record: &StepRecord) -> Vec<String> {
    if record.outcome != Outcome::Failed || record.exit_code != DAMAGED {
        return Vec::new();
    }
    let findings = record.result["findings"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let grave = findings.iter().filter(|finding| finding["severity"] == "error");
    let mut texts: Vec<&str> = grave.filter_map(|finding| finding["path"].as_str()).collect();
    if findings.is_empty() {
        texts.extend(record.trouble.iter().map(|trouble| trouble.message.as_str()));
    }
    let named: Vec<String> = state
        .iter()
        .filter(|set| texts.iter().any(|text| names(text, &set.id)))
        .map(|set| set.id.clone())
        .collect();
    let first = state.first().filter(|_| named.is_empty()).map(|set| set.id.clone());
    named.into_iter().chain(first).collect()
}

/// Whether a path or a message names a set.
fn names(text: &str, id: &str) -> bool {
    let short = id.get(..SHORT_ID).filter(|_| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_it = |word: &str| word == id || Some(word) == short;
    text.split(['/', '\\']).chain(text.split(['/', '\\', ' ', ':', ',', ';'])).any(is_it)
}

#[cfg(test)]
mod tests {
    use certadm_set::manifest::SetKind::Logs;
    use serde_json::json;

    use super::*;
    use crate::held::tests::set;
    use crate::record::Trouble;
    use crate::record::tests::record;
    use crate::step::Step;

    #[test]
    fn a_verification_tells_which_sets_are_damaged_or_all_of_them_are() {
        let vault = "4f2a91c0".repeat(8);
        let ids = ["20261130T000000Z-full", "a set by hand", vault.as_str(), "more"];
        let sets = ids.map(|id| HeldSet { id: id.to_owned(), ..set(1, Logs, (1, 1)) });
        let state: Vec<&HeldSet> = sets.iter().collect();
        let failed = record(Step::Verify, Outcome::Failed, 1);
        let of = |exit_code, findings: &Value, message: &str| {
            let trouble = Trouble::of_code(certadm_rules::Hresult::E_FAIL, message.to_owned(), "");
            let result = json!({ "findings": findings });
            found(&state, &StepRecord { exit_code, result, trouble: vec![trouble], ..failed.clone() })
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
        assert!(found(&[], &StepRecord { exit_code: 5, ..failed }).is_empty());
    }
}
