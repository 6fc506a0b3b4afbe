//! What the steps come to.

use serde::{Deserialize, Serialize};

use crate::step::{Outcome, Step, StepRecord};

/// How much is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Everything that a rehearsal can show.
    Proven,
    /// The CA comes back; some things around that are late, missing, or were not shown.
    ProvenExcept,
    /// The CA does not come back from these sets, or nothing shows that it does.
    NotProven,
}

impl Proof {
    /// Its name for programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::ProvenExcept => "proven-except",
            Self::NotProven => "not-proven",
        }
    }
}

/// The verdict of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// How much is proven.
    pub proof: Proof,
    /// The steps that did not pass, by their names for programs.
    pub except: Vec<Step>,
}

impl Verdict {
    pub(crate) fn of(records: &[StepRecord]) -> Self {
        let open = |record: &&StepRecord| !matches!(record.outcome, Outcome::Pass | Outcome::NotApplicable);
        let except: Vec<Step> = records.iter().filter(open).map(|record| record.step).collect();
        let failed = records.iter().any(|record| record.outcome == Outcome::Fail && record.step.decides());
        let proof = match (failed, except.is_empty()) {
            (true, _) => Proof::NotProven,
            (false, false) => Proof::ProvenExcept,
            (false, true) => Proof::Proven,
        };
        Self { proof, except }
    }

    /// In one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let steps: Vec<String> = self.except.iter().map(|step| step.title().to_lowercase()).collect();
        match self.proof {
            Proof::Proven => "PROVEN: the CA comes back from these sets".to_owned(),
            Proof::ProvenExcept => format!("PROVEN EXCEPT: {}", steps.join(", ")),
            Proof::NotProven => format!("NOT PROVEN: {}", steps.join(", ")),
        }
    }
}
