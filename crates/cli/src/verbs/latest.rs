//! `--latest-in` and `--at`: which sets of a folder or a repository are meant.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certadm_rules::FileTime;
use certadm_rules::words::counted;
use certadm_set::signing::AllowedSigners;
use certadm_set::stored::{Stored, age, chain, newest_first};
use certadm_set::{Until, folder};
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;
use crate::verbs::until::moment;

/// Sets that are chosen by the command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LatestArgs {
    /// Take the newest state of the sets in this folder, or of the repository vault:CA: a full set, and the log sets that
    /// continue it
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    latest_in: Option<PathBuf>,
    /// With --latest-in: the state at this moment, such as 2026-11-27T10:00:00Z, or the last one before it
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "latest_in", conflicts_with_all = ["until_generation", "until_time"])]
    at: Option<FileTime>,
}

/// What was chosen.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The sets, full one first, or an address that stands for them.
    pub(crate) sets: Vec<PathBuf>,
    /// How far they are used.
    pub(crate) until: Option<Until>,
}

impl LatestArgs {
    /// The sets that are meant; `None` where the person names them. Where signers are, only sets that one of them signed are
    /// looked at: whoever can put a set there must not decide by it which one is restored.
    ///
    /// # Errors
    /// Usage when sets of several CAs lie there; refused when nothing there can be restored; as [`folder::list`].
    pub(crate) fn choose(
        &self,
        allowed: Option<&AllowedSigners>,
        output: Output,
    ) -> Result<Option<Chosen>, Failure> {
        let Some(place) = &self.latest_in else { return Ok(None) };
        #[cfg(feature = "repository")]
        if let Some(address) = super::places::address(place)? {
            let repository = super::places::open(&address)?;
            let points = repository.points()?;
            let (last, until) = self.state(place, &points)?;
            output.line(told(last, until));
            let address = format!("{}/{}", repository.address(), last.id());
            return Ok(Some(Chosen { sets: vec![address.into()], until }));
        }
        let mut sets = folder::list(place)?.sets;
        if let Some(allowed) = allowed {
            sets.retain(|set| {
                let opened = certadm_set::open(std::slice::from_ref(&set.path));
                let signed = opened.and_then(|opened| allowed.check(&opened));
                if let Err(error) = &signed {
                    output.line(format!("Left out {}: {error}.", set.path.display()));
                }
                signed.is_ok()
            });
        }
        let (last, until) = self.state(place, &sets)?;
        output.line(told(last, until));
        let (all, now): (Vec<_>, _) = (sets.iter().collect(), certadm_store::now().unix_seconds());
        let needed = chain(&all, last, now).map_err(|why| nothing(place, &why))?;
        Ok(Some(Chosen { sets: needed.into_iter().map(|set| set.path.clone()).collect(), until }))
    }

    /// The last set of the state that is meant, and how far it is used.
    fn state<'a, S: Stored>(&self, place: &Path, sets: &'a [S]) -> Result<(&'a S, Option<Until>), Failure> {
        let cas: BTreeSet<(&str, &str)> = sets.iter().map(|set| (set.ca(), set.database())).collect();
        if 1 < cas.len() {
            let count = counted(cas.len() as u64, "database");
            let text = format!("sets of {count} lie in {}", place.display());
            let remedy = format!("see `certadm sets {}`, and name the sets by --from", place.display());
            return Err(Failure::usage(text, remedy));
        }
        let (all, now): (Vec<&S>, _) = (sets.iter().collect(), certadm_store::now().unix_seconds());
        let mut states: Vec<&S> = all.iter().copied().filter(|set| chain(&all, set, now).is_ok()).collect();
        let newest = newest_first(&states, now).first().copied();
        let newest = newest.ok_or_else(|| nothing(place, "no full set lies there"))?;
        let Some(at) = self.at else { return Ok((newest, None)) };
        let seconds = at.unix_seconds();
        states.sort_by(|one, other| age(*one).cmp(&age(*other)));
        let before = states.iter().copied().find(|set| set.time() <= seconds);
        let before = before.ok_or_else(|| {
            nothing(place, &format!("no set there is of {at} or before", at = at.to_rfc3339()))
        })?;
        // A set that was taken later may lead on from there, up to the moment.
        let base = |set| chain(&all, set, now).ok().and_then(|chain| chain.first().map(|full| full.id()));
        let mut later = states.iter().rev().copied().filter(|set| seconds < set.time());
        match later.find(|set| base(*set) == base(before)) {
            Some(set) => Ok((set, Some(Until::Time(at)))),
            None => Ok((before, None)),
        }
    }
}

fn told<S: Stored>(last: &S, until: Option<Until>) -> String {
    let taken = FileTime::from_unix_seconds(last.time()).to_rfc3339();
    let until = match until {
        Some(_) => ", no further than was asked for",
        None => "",
    };
    format!("Chosen: the state that ends with {}, taken {taken}{until}.", last.name())
}

fn nothing(place: &Path, why: &str) -> Failure {
    let error = certadm_set::Error::NothingToRestore { path: place.to_owned(), detail: why.to_owned() };
    Failure::from(error)
}
