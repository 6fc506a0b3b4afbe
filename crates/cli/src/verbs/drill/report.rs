//! The report of a drill: short and honest.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use certadm_rehearsal::evidence::Evidence;
use certadm_set::Taken;
use certadm_set::verify::Report;
use certadm_store::Recovered;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, human_bytes, path_text};
use crate::terminal::Tone;
use crate::verbs::drill::crl::Emergency;
use crate::verbs::drill::load::{Phase, Record};
use crate::verbs::drill::prove::Proof;

/// Which way the backups went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the CA's service at this address, over TCP, authenticated by Kerberos or NTLM, at packet privacy.
    Wire { server: SocketAddr, by_ticket: bool },
    /// From the CA's folder, in this process.
    Local,
}

impl Way {
    fn to_json(self) -> Value {
        match self {
            Self::Wire { server, by_ticket } => json!({
                "name": "wire",
                "server": server.to_string(),
                "authentication": if by_ticket { "kerberos" } else { "ntlm" },
                "protection": "privacy",
            }),
            Self::Local => {
                json!({ "name": "local", "server": null, "authentication": null, "protection": null })
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire { server, by_ticket } => {
                let by = if *by_ticket { "Kerberos" } else { "NTLM" };
                write!(f, "over TCP from the CA's service on {server}, authenticated by {by}, sealed")
            }
            Self::Local => f.write_str("locally, from the CA's folder, without network and sealing"),
        }
    }
}

/// Everything a drill measured.
pub(crate) struct Summary {
    pub(crate) way: Way,
    pub(crate) size: u64,
    pub(crate) filler: u64,
    pub(crate) full: Taken,
    pub(crate) logs: Vec<Taken>,
    pub(crate) verified: Report,
    pub(crate) restored_bytes: u64,
    pub(crate) recovery: Duration,
    pub(crate) recovered: Option<Recovered>,
    pub(crate) proof: Proof,
    pub(crate) lost: usize,
    pub(crate) crl_number: i64,
    pub(super) emergency: Emergency,
    pub(crate) evidence: Evidence,
    pub(crate) evidence_file: Option<PathBuf>,
    pub(crate) record: Arc<Record>,
    #[cfg(feature = "repository")]
    pub(super) repository: Option<super::vaulted::Seen>,
}

impl Summary {
    /// Whether everything the drill promises was seen.
    pub(crate) fn is_proven(&self) -> bool {
        self.proof.expected > 0
            && self.proof.equal == self.proof.expected
            && self.verified.is_good()
            && self.recovered.is_some()
            && self.evidence.verdict.proof == certadm_rehearsal::Proof::Proven
            && self.emergency.number < self.crl_number
            && self.record.stats(Phase::Restored).count() > 0
            && self.record.ledger().repeated.is_none()
            && self.full.end_error.is_none()
            && self.logs.iter().all(|taken| taken.end_error.is_none())
            && self.is_repository_sound()
    }

    #[cfg(feature = "repository")]
    fn is_repository_sound(&self) -> bool {
        self.repository.as_ref().is_none_or(super::vaulted::Seen::is_sound)
    }

    #[cfg(not(feature = "repository"))]
    const fn is_repository_sound(&self) -> bool {
        true
    }

    /// What was seen of the repository; null where the sets are folders.
    #[cfg(feature = "repository")]
    fn repository_to_json(&self) -> Value {
        self.repository.as_ref().map_or(Value::Null, super::vaulted::Seen::to_json)
    }

    #[cfg(not(feature = "repository"))]
    const fn repository_to_json(&self) -> Value {
        Value::Null
    }

    pub(crate) fn print(&self, output: Output) {
        output.line("");
        output.line(format!(
            "{:28} {:>8} {:>9} {:>10} {:>10}",
            "certificates issued", "count", "a second", "p50", "p99"
        ));
        for phase in Phase::ALL {
            let mut stats = self.record.stats(phase);
            output.line(format!(
                "  {:26} {:>8} {:>9.0} {:>7.2} ms {:>7.2} ms",
                phase.label(),
                stats.count(),
                stats.rate(),
                stats.percentile(50),
                stats.percentile(99)
            ));
        }
        output.line("");
        output.line(format!("Backups went {}.", self.way));
        for taken in std::iter::once(&self.full).chain(&self.logs) {
            let (bytes, seconds) = (taken.manifest.total_size(), taken.duration.as_secs_f64());
            output.line(format!(
                "{:13} backup  {:>12} in {seconds:6.2} s   {:>12}/s   {} logs deleted",
                taken.kind.to_string(),
                human_bytes(bytes),
                human_bytes(rate(bytes, taken.duration)),
                taken.truncated.len()
            ));
        }
        output.line(format!(
            "{:13} restore {:>12} in {:6.2} s   {:>12}/s",
            "",
            human_bytes(self.restored_bytes),
            self.recovery.as_secs_f64(),
            human_bytes(rate(self.restored_bytes, self.recovery))
        ));
        output.line("");
        let proof = self.proof;
        output.line(format!(
            "Acknowledged before the last backup: {}; there byte for byte: {}; different: {}; missing: {}.",
            proof.expected, proof.equal, proof.different, proof.missing
        ));
        output.line(format!(
            "Issued after the last backup and lost with the CA: {}. The backup was taken before them.",
            self.lost
        ));
        output.line(format!(
            "Issued on the restored CA: {}; serial numbers repeated: {}; next CRL number: {}.",
            self.record.stats(Phase::Restored).count(),
            u8::from(self.record.ledger().repeated.is_some()),
            self.crl_number
        ));
        output.line(format!(
            "From the loss to a CRL that is in force: {:.2} s. It lists a certificate that was revoked after the last backup.",
            self.emergency.took.as_secs_f64()
        ));
        #[cfg(feature = "repository")]
        if let Some(seen) = &self.repository {
            seen.print(output);
        }
        output.line(format!("Rehearsal of the sets: {}.", self.evidence.verdict.sentence()));
        if let Some(file) = &self.evidence_file {
            output.line(format!("Evidence {} is {}.", self.evidence.run, file.display()));
        }
        if self.is_proven() {
            let text = "Drill PASSED: the CA was lost and is back, every acknowledged certificate known.";
            output.verdict(text, Tone::Good);
        } else {
            output.verdict("Drill FAILED: see the figures above.", Tone::Bad);
        }
    }

    pub(crate) fn to_json(&self) -> Result<Value, Failure> {
        let phases = Phase::ALL.map(|phase| {
            let mut stats = self.record.stats(phase);
            json!({
                "phase": phase.label(),
                "certificates": stats.count(),
                "seconds": stats.duration.as_secs_f64(),
                "per_second": stats.rate(),
                "p50_ms": stats.percentile(50),
                "p99_ms": stats.percentile(99),
            })
        });
        let backups: Vec<Value> = std::iter::once(&self.full)
            .chain(&self.logs)
            .map(|taken| {
                json!({
                    "kind": taken.kind.to_string(),
                    "generations": taken.manifest.generations,
                    "bytes": taken.manifest.total_size(),
                    "seconds": taken.duration.as_secs_f64(),
                    "logs_deleted": taken.truncated.len(),
                })
            })
            .collect();
        Ok(json!({
            "passed": self.is_proven(),
            "size": self.size,
            "filler_rows": self.filler,
            "phases": phases,
            "backups": backups,
            "way": self.way.to_json(),
            "repository": self.repository_to_json(),
            "verify": self.verified.verdict(),
            "restore": { "bytes": self.restored_bytes, "seconds": self.recovery.as_secs_f64() },
            "proof": {
                "expected": self.proof.expected,
                "equal": self.proof.equal,
                "different": self.proof.different,
                "missing": self.proof.missing,
                "unacknowledged": self.proof.unacknowledged,
                "lost_but_there": self.proof.lost_but_there,
            },
            "lost_after_last_backup": self.lost,
            "serials_repeated": self.record.ledger().repeated.is_some(),
            "crl_number": self.crl_number,
            "emergency_crl": {
                "seconds": self.emergency.took.as_secs_f64(),
                "number": self.emergency.number,
                "entries": self.emergency.entries,
                "next_update": self.emergency.next_update.to_rfc3339(),
                "file": path_text(&self.emergency.path),
            },
            "evidence": crate::verbs::rehearse::to_json(&self.evidence)?,
            "evidence_file": self.evidence_file.as_deref().map(path_text),
        }))
    }
}

fn rate(bytes: u64, duration: Duration) -> u64 {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1000) / millis
}
