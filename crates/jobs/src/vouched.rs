//! Which sets of a place count for a job that has `allowed-signers`: those that one of these has signed. Without a list, all do.
//!
//! A list that cannot be read vouches for none. Then full backups go on, and nothing is deleted at the CA or at the places for sets that
//! nobody could check.

use std::path::Path;

use certadm_repository::{CaRepository, Point, SignedWith};
use certadm_rules::diagnosis::chain_of;
use certadm_set::folder::{FolderSet, Listed};
use certadm_set::signing::AllowedSigners;

use crate::config::Job;

/// What was sorted.
pub(crate) struct Vouched<S> {
    /// The sets that count.
    pub(crate) sets: Vec<S>,
    /// Those that none of the signers has signed, each with why it does not count.
    pub(crate) unsigned: Vec<(S, String)>,
    /// Those of which it cannot be told, by their names, each with what is wrong.
    pub(crate) unreadable: Vec<(String, String)>,
}

/// Whose signatures count for a job.
pub(crate) enum Signers {
    /// Nobody asks.
    Anybody,
    /// Those of this list.
    Listed(AllowedSigners),
    /// Why the list cannot be read.
    Unknown(String),
}

impl Signers {
    /// Those of a job.
    pub(crate) fn of(job: &Job) -> Self {
        let Some(path) = &job.allowed_signers else { return Self::Anybody };
        Self::read(path)
    }

    fn read(path: &Path) -> Self {
        match AllowedSigners::read(path) {
            Ok(allowed) => Self::Listed(allowed),
            Err(error) => Self::Unknown(chain_of(&error)),
        }
    }

    /// Sorts the sets of a folder.
    pub(crate) fn sort_folder(&self, listed: Listed) -> Vouched<FolderSet> {
        let allowed = match self {
            Self::Anybody => return Vouched::all(listed.sets),
            Self::Unknown(why) => return Vouched::none(listed.sets, why),
            Self::Listed(allowed) => allowed,
        };
        let (listed, left_out) = listed.vouched_for(allowed);
        let mut vouched = Vouched::all(listed.sets);
        for (set, error) in left_out {
            let why = chain_of(&error);
            match error {
                certadm_set::Error::Signing(_) => vouched.unsigned.push((set, why)),
                _ => vouched.unreadable.push((set.name, why)),
            }
        }
        vouched
    }

    /// Sorts the sets of a repository.
    ///
    /// # Errors
    /// As [`CaRepository::signed_with`].
    pub(crate) fn sort_points(
        &self,
        repository: &CaRepository,
        points: Vec<Point>,
    ) -> certadm_repository::Result<Vouched<Point>> {
        let allowed = match self {
            Self::Anybody => return Ok(Vouched::all(points)),
            Self::Unknown(why) => return Ok(Vouched::none(points, why)),
            Self::Listed(allowed) => allowed,
        };
        let signed = repository.signed_with(&points)?;
        let mut vouched = Vouched::all(Vec::new());
        for (point, signed) in points.into_iter().zip(signed) {
            match signed {
                SignedWith::Key(key) => match allowed.judge_key(&key, certadm_store::now()) {
                    Ok(_) => vouched.sets.push(point),
                    Err(misfit) => {
                        vouched.unsigned.push((point, format!("its signature does not count: {misfit}")));
                    }
                },
                SignedWith::Nobody(why) => vouched.unsigned.push((point, why)),
                SignedWith::Untold(why) => vouched.unreadable.push((point.id, why)),
            }
        }
        Ok(vouched)
    }
}

impl<S> Vouched<S> {
    const fn all(sets: Vec<S>) -> Self {
        Self { sets, unsigned: Vec::new(), unreadable: Vec::new() }
    }

    fn none(sets: Vec<S>, why: &str) -> Self {
        let unsigned = sets.into_iter().map(|set| (set, why.to_owned())).collect();
        Self { unsigned, ..Self::all(Vec::new()) }
    }
}
