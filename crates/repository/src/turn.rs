//! One at a time: whoever deletes sets or rebuilds the index takes a turn first, by an object that one alone can create
//! (repository.md 6). The clock of the storage is read on the way.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use certadm_rules::printable::printable;
use certadm_rules::{CLOCK_TOLERANCE, FileTime, hex};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::objects::{CLOCK, ObjectError, Objects};

/// The folder of the turns. Each has a number of its own: taking one over makes the next, which one alone can create.
const TURNS: &str = "certadm/turn";
/// A turn that is older was left by a process that is gone, in seconds.
const STALE: i64 = 24 * 3_600;
/// The clocks of this machine and of the storage may differ by so many seconds: ages of packs are told by both.
const MAX_SKEW: u64 = CLOCK_TOLERANCE.unsigned_abs();
/// What is shown of a turn that somebody else has.
const SHOWN: u64 = 200;

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    objects: Arc<dyn Objects>,
    name: String,
    content: Vec<u8>,
    now: i64,
}

impl Turn {
    /// Takes the turn. `take_over` also takes one that somebody else has, and that is not known to be over.
    ///
    /// # Errors
    /// [`Error::NoTurns`]; [`Error::Busy`] when it is somebody else's turn, [`Error::Clock`] when this machine's clock is wrong,
    /// [`Error::Storage`].
    pub(crate) fn take(objects: &Arc<dyn Objects>, take_over: bool) -> Result<Self> {
        if !objects.has_notes() {
            return Err(Error::NoTurns { place: objects.place() });
        }
        let storage = |source| Error::Storage { place: objects.place(), source };
        let random = random()?;
        let now = now(objects, &random)?;
        // An account that may not delete could not give the turn back.
        objects.delete(&format!("{CLOCK}/{random}")).map_err(storage)?;
        let listed = turns(objects.as_ref()).map_err(storage)?;
        // One that ends now and is taken by somebody else has another content then.
        let mut before = Vec::new();
        for (_, name) in &listed {
            before
                .extend(content_of(objects.as_ref(), name).map_err(storage)?.map(|content| (name, content)));
        }
        let busy = |name: &str| {
            let by = objects.range(name, 0, SHOWN).unwrap_or_default();
            let by = printable(String::from_utf8_lossy(&by).lines().next().unwrap_or_default()).into_owned();
            Error::Busy { place: objects.place(), by }
        };
        for (_, name) in &listed {
            match objects.stored_at(name) {
                Ok(since) if now.saturating_sub(since) < STALE && !take_over => return Err(busy(name)),
                Ok(_) => {}
                // It has ended just now.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(storage(error)),
            }
        }
        let number = free_number(&listed);
        let since = FileTime::from_unix_seconds(now).to_rfc3339();
        let content = format!("process {} since {since}\n{random}\n", std::process::id()).into_bytes();
        let name = format!("{TURNS}/{number}");
        match objects.create(&name, &content) {
            Ok(()) => {}
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => return Err(busy(&name)),
            Err(error) => return Err(storage(error)),
        }
        let turn = Self { objects: Arc::clone(objects), name, content, now };
        // Whoever saw no turn because its list was old, or because the one that it saw has ended, must not begin beside one that
        // goes on. Of two that begin at once, the one that looks later sees the other; if both do, neither begins.
        let after = turns(objects.as_ref()).map_err(storage)?;
        for (_, other) in after.into_iter().filter(|(_, other)| *other != turn.name) {
            let content = content_of(objects.as_ref(), &other).map_err(storage)?;
            if content.is_some_and(|content| !before.contains(&(&other, content))) {
                return Err(busy(&other));
            }
        }
        before.iter().try_for_each(|(name, _)| objects.delete(name)).map_err(storage)?;
        Ok(turn)
    }

    /// How many seconds the clock of the storage is ahead of this machine's.
    ///
    /// # Errors
    /// [`Error::Clock`] when that is too much, [`Error::Storage`].
    pub(crate) fn time(objects: &Arc<dyn Objects>) -> Result<i64> {
        let now = now(objects, &random()?)?;
        Ok(now - OffsetDateTime::now_utc().unix_timestamp())
    }

    /// What time it was at the storage when the turn began, in seconds since 1970.
    pub(crate) const fn now(&self) -> i64 {
        self.now
    }

    /// Makes sure that nobody has taken the turn over, before something is deleted.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Storage`].
    pub(crate) fn still_ours(&self) -> Result<()> {
        match self.objects.get(&self.name) {
            Ok(content) if content == self.content => Ok(()),
            Err(error) if !error.is_not_found() => {
                Err(Error::Storage { place: self.objects.place(), source: error })
            }
            _ => {
                let by = "somebody who took the turn over".to_owned();
                Err(Error::Busy { place: self.objects.place(), by })
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // One that stays is taken over after a day.
        if self.still_ours().is_ok() {
            self.objects.delete(&self.name).ok();
        }
    }
}

/// What a turn says; `None` when it has ended.
fn content_of(objects: &dyn Objects, name: &str) -> Result<Option<Bytes>, ObjectError> {
    match objects.get(name) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The turns that are there, by their number.
fn turns(objects: &dyn Objects) -> Result<Vec<(u64, String)>, ObjectError> {
    let listed = objects.list(TURNS)?.into_iter();
    let mut turns: Vec<(u64, String)> =
        listed.filter_map(|(name, _)| Some((name.rsplit('/').next()?.parse().ok()?, name))).collect();
    turns.sort();
    Ok(turns)
}

/// The number that whoever has seen these turns may create: the next one, so that of two who have seen the same one alone succeeds. Behind
/// the last number there is none: whoever may add an object could put it there, and it is taken over as any other. Then it is the
/// first that is free, for both of them. That it is lower than another one means nothing: whoever sees it looks at how old each is.
fn free_number(listed: &[(u64, String)]) -> u64 {
    let newest = listed.last().map(|(number, _)| *number);
    let taken = |number: &u64| listed.binary_search_by_key(number, |(other, _)| *other).is_ok();
    let first = || (0..u64::MAX).find(|number| !taken(number)).unwrap_or_default();
    newest.map_or(Some(0), |newest| newest.checked_add(1)).unwrap_or_else(first)
}

/// What time it is at the storage, if this machine's clock says about the same.
fn now(objects: &Arc<dyn Objects>, random: &str) -> Result<i64> {
    let there = objects.clock(random);
    let there = there.map_err(|source| Error::Storage { place: objects.place(), source })?;
    let here = OffsetDateTime::now_utc().unix_timestamp();
    match here.abs_diff(there) {
        0..=MAX_SKEW => Ok(there),
        _ => Err(Error::Clock { place: objects.place(), here, there }),
    }
}

pub(crate) fn random() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| certadm_files::Error::Io {
        action: "read random numbers from",
        path: "the system".into(),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(hex::encode(&bytes))
}
