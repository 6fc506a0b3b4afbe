//! The evidence of a rehearsal, out of what it showed.

use std::io::Read;

use certadm_files::Found;
use certadm_rules::{FileTime, hex};
use certadm_set::manifest::{self, Manifest};
use sha2::{Digest, Sha256};

use super::findings;
use super::folder::Kept;
use super::record::{
    CaOfSet, CrlFacts, Evidence, FORMAT, Generations, Rpo, Rto, SetFacts, SetPath, Tool, VERSION, sha256,
};
use crate::rehearse::Rehearsal;
use crate::verdict::Proof;
use crate::wishes::Limits;

/// Who rehearsed, where, and with what limits.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Such as `certadm 0.1.0`.
    pub tool: String,
    /// The machine.
    pub host: String,
    /// The account.
    pub account: String,
    /// The limits.
    pub limits: Limits,
}

impl Evidence {
    /// The evidence of a rehearsal that follows `earlier` ones in its folder, the newest of which is last.
    #[must_use]
    pub fn of(rehearsal: &Rehearsal, circumstances: &Circumstances, earlier: &[Kept]) -> Self {
        let moment = FileTime::to_rfc3339;
        let (limits, times) = (circumstances.limits, &rehearsal.times);
        let (set, database_signature, stream_signature) = sets(rehearsal);
        let met = |limit: Option<std::time::Duration>, value: Option<f64>| {
            limit.map(|limit| value.is_some_and(|value| value <= limit.as_secs_f64()))
        };
        let now = rehearsal.now;
        let (findings, closed, unchecked) = findings::compare(rehearsal, earlier);
        let before = earlier.last();
        #[allow(clippy::cast_precision_loss)] // seconds
        let rpo = times.rpo_seconds.map(|seconds| seconds as f64);
        let proof = rehearsal.verdict.proof;
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            run: before.map_or(1, |kept| kept.evidence.run + 1),
            started: moment(rehearsal.span.0),
            ended: moment(rehearsal.span.1),
            tool: Tool { name: circumstances.tool.clone(), sha256: own_hash() },
            host: circumstances.host.clone(),
            account: circumstances.account.clone(),
            set: SetFacts {
                kind: rehearsal.of_windows.map(|windows| if windows { "windows" } else { "ours" }.to_owned()),
                paths: set,
                database_signature,
                stream_signature,
                generations: rehearsal.generations.map(|(low, high)| Generations { low, high }),
                taken: times.taken.map(moment),
            },
            ca: CaOfSet {
                name: rehearsal.ca.name.clone(),
                key_identifier: rehearsal.ca.key_identifier.clone(),
                not_after: rehearsal.ca.not_after.map(moment),
            },
            steps: rehearsal.steps.clone(),
            certificates_proven: match (&rehearsal.counts, proof) {
                (Some(counts), Proof::Proven | Proof::ProvenExcept) => counts.certificates,
                _ => 0,
            },
            counts: rehearsal.counts.clone(),
            sample: rehearsal.sample.clone(),
            rpo: Rpo {
                seconds: times.rpo_seconds,
                newest_entry: times.newest.map(moment),
                limit_seconds: limits.rpo.map(|limit| limit.as_secs()),
                met: met(limits.rpo, rpo),
            },
            rto: Rto {
                seconds: times.rto_seconds,
                machine_seconds: times.machine_seconds,
                by_hand_seconds: limits.by_hand.as_secs(),
                limit_seconds: limits.rto.map(|limit| limit.as_secs()),
                met: met(limits.rto, Some(times.rto_seconds)),
            },
            crl: CrlFacts {
                next_update: rehearsal.crl_end.map(moment),
                seconds_left: rehearsal
                    .crl_end
                    .map(|end| end.unix_seconds().saturating_sub(now.unix_seconds())),
            },
            verdict: rehearsal.verdict.clone(),
            findings,
            closed,
            unchecked,
            previous: before.map(Kept::link),
        }
    }
}

/// The sets with the hashes of their manifests, and the signatures in the first of these.
fn sets(rehearsal: &Rehearsal) -> (Vec<SetPath>, String, String) {
    let mut signatures = None;
    let one = |path: &std::path::PathBuf| {
        let bytes = Found::below(path, manifest::FILE_NAME).read(manifest::MAX_LEN).ok();
        let parsed = bytes.as_deref().and_then(|bytes| Manifest::parse(bytes).ok());
        if let Some(found) = parsed.filter(|_| signatures.is_none()) {
            signatures = Some((found.ca.database_signature, found.ca.stream_signature));
        }
        SetPath { path: path.to_string_lossy().into_owned(), manifest_sha256: bytes.as_deref().map(sha256) }
    };
    let paths = rehearsal.sets.iter().map(one).collect();
    let (database, stream) = signatures.unwrap_or_default();
    (paths, database, stream)
}

/// Bytes that are hashed at a time.
const AT_ONCE: usize = 64 << 10;

/// The hash of the program's own file; nothing where that cannot be read.
fn own_hash() -> String {
    let hash = || -> Option<String> {
        let mut file = Found::named(std::env::current_exe().ok()?).open().ok()?;
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; AT_ONCE]);
        loop {
            match file.read(&mut buffer).ok()? {
                0 => return Some(hex::encode(&hasher.finalize())),
                len => hasher.update(&buffer[..len]),
            }
        }
    };
    hash().unwrap_or_default()
}
