//! What is wrong with a set that a backup has stored just now, as a look at its place shows it: the backup itself knows nothing of the
//! other sets, nor of whose signatures count. It is a finding of the step.

use std::collections::BTreeSet;

use certadm_rules::Hresult;
use certadm_set::manifest::SetKind;

use crate::held::{Held, NoBase};
use crate::record::{Attempts, Outcome, StepRecord, Trouble};
use crate::step::Step;
use crate::trouble::TORN;

/// The finding that none of the job's signers has signed the set.
const UNSIGNED: &str = "stored-unsigned";

impl Attempts {
    /// When the last backup of this kind began, where its set does not count because of its signature.
    pub(crate) fn stored_unsigned(&self, step: Step) -> Option<i64> {
        let attempt = self.of(step);
        attempt.trouble.iter().any(|trouble| trouble.id == UNSIGNED).then_some(attempt.succeeded)?
    }

    /// Whether sets are not to be deleted yet: a full backup was taken behind damage and nobody has verified it, or the last one does not
    /// count. What is older may be all that can be restored.
    pub(crate) fn holds_prune(&self) -> bool {
        self.renewed.is_some() || self.stored_unsigned(Step::Full).is_some()
    }
}

/// Adds to the record of a backup that was taken what is wrong with its set, by what its place held before, and holds now.
pub(crate) fn add_doubts(record: &mut StepRecord, before: &Held, after: &Held) {
    let sets = |held: &Held| -> BTreeSet<String> {
        let unsigned = held.unsigned.iter().map(|(set, _)| set.id.clone());
        held.sets().iter().map(|set| set.id.clone()).chain(unsigned).collect()
    };
    let before = sets(before);
    let kind = if record.step == Step::Full { SetKind::Full } else { SetKind::Logs };
    let unsigned = after.unsigned.iter().find(|(set, _)| set.kind == kind && !before.contains(&set.id));
    let unsigned = unsigned.map(|(set, why)| {
        let text = format!("the set {} was stored and does not count: {why}", set.id);
        let remedy = "see that `allowed-signers` of the job names the key that is its `sign-key`";
        finding(UNSIGNED, Hresult::TRUST_E_NOSIGNATURE, text, remedy)
    });
    let torn = match after.base() {
        Err(NoBase::Gap { set, expected, begins })
            if expected < begins && record.step == Step::Logs && !before.contains(&set) =>
        {
            let text = format!(
                "the set {set} begins with generation {begins:#x}, and generation {expected:#x} is in no set here: another backup has \
                 had the CA delete it, or a set is gone"
            );
            let remedy =
                "find out who else backs this CA up, and have them leave its logs there (backup --keep-logs)";
            Some(finding(TORN, Hresult::REQUIRED_LOG_FILES_MISSING, text, remedy))
        }
        _ => None,
    };
    let doubts: Vec<Trouble> = unsigned.into_iter().chain(torn).collect();
    if !doubts.is_empty() {
        (record.outcome, record.exit_code) = (Outcome::Finding, 1);
        record.trouble.splice(0..0, doubts);
    }
}

fn finding(id: &str, code: Hresult, text: String, remedy: &str) -> Trouble {
    Trouble { id: id.to_owned(), kind: id.to_owned(), ..Trouble::of_code(code, text, remedy) }
}
