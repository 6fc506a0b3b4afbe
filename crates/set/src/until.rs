//! An earlier state: sets as they were up to the end of one log, with everything behind it left out.
//!
//! A log holds each page once, as it was at the log's end, so a state of our own CA is that at the end of a generation. Sets of
//! a Windows CA are cut at the same places: a log ended when the next one was created. What lies behind it is dropped
//! from what was opened, so a restore neither copies nor reads it, and nothing else has to know of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use certadm_ese::log::{LogFile as WindowsLog, LogHeader};
use certadm_ese::stamps::LogTime;
use certadm_files::Found;
use certadm_rules::words::counted;
use certadm_rules::{FileTime, Generation, GenerationRange};
use certadm_store::log_file::LogFile;

use crate::chain::{begin, combine, missing_log};
use crate::error::{Error, Result};
use crate::open::Opened;
use crate::reader::Set;
use crate::windows::{Files, WindowsSet};

/// How far sets are to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To the end of this generation.
    Generation(Generation),
    /// To the last generation that had ended at this moment, which counts to the second. Refused for a moment behind the end of
    /// the last one: whether the CA wrote more until then, no log tells.
    Time(FileTime),
    /// The same without that refusal, for whoever knows that no other set has more of what came before the moment.
    LastBefore(FileTime),
}

/// A state that sets can give: that at the end of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The last generation that is applied.
    pub generation: Generation,
    /// When it ended, where that is known: the last log of a Windows CA does not tell it.
    pub ended: Option<FileTime>,
}

/// What was kept of sets, and what lies behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The state that the sets give now.
    pub state: State,
    /// The last generation of the sets, also where a log before it is missing; its end is not known where it is missing itself.
    pub last: State,
    /// The generations that were left out.
    pub behind: Option<GenerationRange>,
    /// How many log files these are, those that are gone among them; a generation may be in two sets.
    pub logs: usize,
}

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Generation(generation) => write!(f, "at the end of generation {generation}"),
            Self::Time(time) | Self::LastBefore(time) => write!(f, "of {}", time.to_rfc3339()),
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "generation {}", self.generation)?;
        match self.ended {
            Some(ended) => write!(f, ", which ended at {}", ended.to_rfc3339()),
            None => f.write_str(", whose end is not known"),
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "up to {}; ", self.state)?;
        match self.behind {
            None => f.write_str("nothing lies behind it"),
            Some(behind) => write!(
                f,
                "left out: generations {} to {} in {}, the last of them {}",
                behind.low(),
                behind.high(),
                counted(self.logs as u64, "log"),
                match self.last.ended {
                    Some(ended) => format!("ended at {}", ended.to_rfc3339()),
                    None => "with an end that is not known".to_owned(),
                },
            ),
        }
    }
}

impl Opened {
    /// Leaves out what lies behind a state. Logs are taken whole or not at all. What lies behind may be damaged or gone: no more
    /// is asked of it than that it is of the same CA.
    ///
    /// # Errors
    /// [`Error::NotReachable`] when the sets do not give that state, with the first and the last that they give;
    /// [`Error::Missing`] when they lack a log that it needs; [`Error::NotASet`] for the folder of a CA; as [`combine`] and
    /// [`Files::plan`].
    pub fn until(self, until: Until) -> Result<(Self, Cut)> {
        match self {
            Self::Ours(mut sets) => {
                let given = Given::by_ours(&sets)?;
                let state = given.choose(until)?;
                let before = sets.iter().map(|set| set.logs.len()).sum::<usize>();
                for set in &mut sets {
                    set.logs.retain(|(generation, _)| *generation <= state.generation);
                }
                let logs = before - sets.iter().map(|set| set.logs.len()).sum::<usize>();
                // What is left has to be there.
                combine(&sets)?;
                Ok((Self::Ours(sets), given.cut_at(state, logs)))
            }
            Self::Windows(mut sets) => {
                let given = Given::by_windows(&sets)?;
                let state = given.choose(until)?;
                let before = sets.iter().map(WindowsSet::listed_logs).sum::<usize>();
                sets.iter_mut().for_each(|set| set.leave_out_behind(state.generation));
                let logs = before - sets.iter().map(WindowsSet::listed_logs).sum::<usize>();
                Ok((Self::Windows(sets), given.cut_at(state, logs)))
            }
            Self::Folder(folder) => Err(Error::NotASet {
                path: folder.path().to_owned(),
                detail: "it is the folder of a CA, which is as it is now".to_owned(),
            }),
        }
    }
}

/// The states that sets give.
struct Given {
    /// Ascending, without a gap.
    states: Vec<State>,
    /// The highest generation that the sets hold, or whose log they should hold.
    high: Generation,
    /// The log that is not there and ends the states, or begins them.
    missing: Option<PathBuf>,
}

impl Given {
    /// The states that sets of our own CA give.
    fn by_ours(sets: &[Set]) -> Result<Self> {
        let (_, trailer) = begin(sets)?;
        let mut there: BTreeMap<Generation, Vec<&Found>> = BTreeMap::new();
        let mut missing = BTreeMap::new();
        for (generation, log) in sets.iter().flat_map(|set| &set.logs) {
            if log.is_there() {
                there.entry(*generation).or_default().push(log);
            } else {
                missing.insert(*generation, log.path());
            }
        }
        missing.retain(|generation, _| !there.contains_key(generation));
        // A log that cannot be opened is told where its content is checked.
        let header = |log: &&Found| Some(LogFile::open(*log).ok()?.header().own.created);
        let ended = |wanted: Generation| there.get(&wanted)?.iter().find_map(header);
        let states = states_from(trailer.high, there.keys().copied(), ended);
        let high = there.keys().last().copied().unwrap_or(trailer.high);
        Ok(Self::of(states, high, &missing))
    }

    /// The same for sets of a Windows CA. Their database needs the logs up to the last one of its backup.
    fn by_windows(sets: &[WindowsSet]) -> Result<Self> {
        let files = Files::open(sets)?;
        let (required, logs) = files.plan(|plan| {
            let logs: Vec<LogHeader> = plan.logs().cloned().collect();
            Ok((plan.required(), logs))
        })?;
        let needed = files.needed(required)?.map(|needed| needed.high);
        let first = needed.unwrap_or_else(|| logs.first().map_or(1, |log| log.generation));
        let first = Generation::new(first).unwrap_or(Generation::FIRST);
        let ended = |generation: Generation| {
            let next =
                logs.iter().find(|log| Some(log.generation) == generation.next().map(Generation::number))?;
            file_time(next.created)
        };
        let generations: Vec<Generation> =
            logs.iter().filter_map(|log| Generation::new(log.generation)).collect();
        let high = generations.last().copied().unwrap_or(first);
        let missing =
            files.missing_from(first.number()).map(|(generation, log)| (*generation, log.as_path()));
        Ok(Self::of(states_from(first, generations, ended), high, &missing.collect()))
    }

    /// `missing` are logs that no set has.
    fn of(states: Vec<State>, high: Generation, missing: &BTreeMap<Generation, &Path>) -> Self {
        let bounds = states.first().zip(states.last());
        let ends = bounds.and_then(|(first, last)| {
            let next = last.generation.next().unwrap_or(last.generation);
            missing.range(first.generation..=next).next()
        });
        let highest = bounds.map(|(_, last)| last.generation).max(missing.keys().last().copied());
        let missing = ends.map(|(_, log)| (*log).to_owned());
        Self { states, high: highest.map_or(high, |highest| highest.max(high)), missing }
    }

    /// The state that was asked for.
    fn choose(&self, until: Until) -> Result<State> {
        // A log that is gone, or does not say when it ended, may have ended before the moment.
        let ends_are_known = self.missing.is_none() && self.states.iter().all(|state| state.ended.is_some());
        let until = match until {
            Until::LastBefore(moment) if !ends_are_known => Until::Time(moment),
            until => until,
        };
        choose(&self.states, until).map_err(|error| {
            let is_behind = match until {
                Until::Generation(asked) => {
                    asked <= self.high && self.states.last().is_some_and(|last| last.generation < asked)
                }
                Until::Time(moment) | Until::LastBefore(moment) => self
                    .states
                    .first()
                    .and_then(|first| first.ended)
                    .is_none_or(|ended| ended.unix_seconds() <= moment.unix_seconds()),
            };
            // With that log, there might be such a state.
            self.missing.as_deref().filter(|_| is_behind).map_or(error, missing_log)
        })
    }

    /// What was kept up to a state, where so many logs were left out.
    fn cut_at(&self, state: State, logs: usize) -> Cut {
        let last = self.states.last().copied().filter(|last| last.generation == self.high);
        // A log behind a hole is left out, too.
        let behind = state.generation.next().and_then(|next| GenerationRange::new(next, self.high));
        Cut { state, last: last.unwrap_or(State { generation: self.high, ended: None }), behind, logs }
    }
}

/// The state that was asked for, out of those that there are.
fn choose(states: &[State], until: Until) -> Result<State> {
    let chosen = match until {
        Until::Generation(asked) => states.iter().find(|state| state.generation == asked),
        Until::Time(moment) | Until::LastBefore(moment) => {
            let is_past = |state: &&State| {
                state.ended.is_some_and(|ended| ended.unix_seconds() <= moment.unix_seconds())
            };
            let known = states.iter().take_while(|state| state.ended.is_some()).count();
            // Whether the CA wrote more between the end of its last log and a later moment, no log tells.
            let is_strict = !matches!(until, Until::LastBefore(_));
            let is_behind = is_strict
                && states[..known].last().is_none_or(|last| {
                    last.ended.is_some_and(|ended| ended.unix_seconds() < moment.unix_seconds())
                });
            states.iter().take_while(is_past).last().filter(|_| !is_behind)
        }
    };
    chosen
        .copied()
        .ok_or_else(|| Error::NotReachable { asked: until.to_string(), given: given(states, until) })
}

/// What the sets give, for whoever asked for something else.
fn given(states: &[State], until: Until) -> String {
    let known = states.iter().take_while(|state| state.ended.is_some()).count();
    let of = match until {
        Until::Time(_) | Until::LastBefore(_) if known == 0 => {
            return "no moment: none of their logs says when it ended".to_owned();
        }
        Until::Time(_) | Until::LastBefore(_) => &states[..known],
        Until::Generation(_) => states,
    };
    match of {
        [] => "nothing".to_owned(),
        [only] => format!("only {only}"),
        [first, .., last] => format!("from {first}, to {last}"),
    }
}

/// The generations from `first` on, as long as none is missing. The first is there in any case: that a log is missing which the
/// database needs is told where the logs are put together.
fn states_from(
    first: Generation,
    logs: impl IntoIterator<Item = Generation>,
    ended: impl Fn(Generation) -> Option<FileTime>,
) -> Vec<State> {
    let mut states = vec![State { generation: first, ended: ended(first) }];
    let mut last = first;
    for generation in logs {
        if last.next() == Some(generation) {
            states.push(State { generation, ended: ended(generation) });
            last = generation;
        }
    }
    states
}

/// A stamp of the Windows engine as a moment; nothing for one in local time, which could be any.
fn file_time(stamp: LogTime) -> Option<FileTime> {
    let date = stamp.date_time().filter(|_| stamp.is_utc())?;
    Some(FileTime::from_unix_seconds(date.unix_seconds()))
}

impl WindowsSet {
    /// How many logs it has, or should have.
    fn listed_logs(&self) -> usize {
        self.complete.as_ref().map_or(self.logs.len(), |set| set.logs.len())
    }

    /// Leaves out the logs behind a generation, and those that do not say which one they hold.
    fn leave_out_behind(&mut self, last: Generation) {
        use certadm_ese::log::chain::generation_of_name;
        use certadm_ese::pager::FilePager;
        let is_kept = |log: &certadm_files::Found| {
            let name = log.file_name().and_then(|name| name.to_str()).and_then(generation_of_name);
            let generation = name.or_else(|| {
                let file = FilePager::new(log.open().ok()?).ok()?;
                Some(WindowsLog::read_header(&file).ok()?.generation)
            });
            generation.is_some_and(|generation| generation <= last.number())
        };
        self.logs.retain(is_kept);
        if let Some(set) = &mut self.complete {
            set.logs.retain(|(generation, _)| *generation <= last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(ends: &[Option<i64>]) -> Vec<State> {
        let ended =
            |generation: Generation| ends[generation.number() as usize - 3].map(FileTime::from_unix_seconds);
        let logs = (3..3 + u32::try_from(ends.len()).unwrap()).filter_map(Generation::new);
        states_from(Generation::new(3).unwrap(), logs, ended)
    }

    fn at(states: &[State], until: Until) -> Result<u32, String> {
        choose(states, until).map(|state| state.generation.number()).map_err(|error| error.to_string())
    }

    fn second(second: i64) -> Until {
        Until::Time(FileTime::from_unix_seconds(second))
    }

    #[test]
    fn a_moment_is_the_last_log_that_had_ended() {
        let states = states(&[Some(100), Some(200), Some(300)]);
        for (moment, generation) in [(100, 3), (199, 3), (200, 4), (299, 4), (300, 5)] {
            assert_eq!(at(&states, second(moment)), Ok(generation), "{moment}");
        }
        for moment in [0, 99, 301] {
            let text = at(&states, second(moment)).unwrap_err();
            assert!(text.contains("00:01:40Z") && text.contains("00:05:00Z"), "{text}");
        }
        let last_before = |second: i64| Until::LastBefore(FileTime::from_unix_seconds(second));
        assert_eq!((at(&states, last_before(301)), at(&states, last_before(200))), (Ok(5), Ok(4)));
        assert!(at(&states, last_before(99)).is_err());
    }

    #[test]
    fn what_may_have_ended_before_a_moment_is_not_passed_over() {
        let given = |ends: &[Option<i64>], missing: Option<u32>| {
            let log = Path::new("log");
            let missing = missing.and_then(Generation::new).map(|generation| (generation, log));
            let given = Given::of(states(ends), Generation::FIRST, &missing.into_iter().collect());
            let state = given.choose(Until::LastBefore(FileTime::from_unix_seconds(250)));
            state.map(|state| state.generation.number())
        };
        assert_eq!(given(&[Some(100), Some(200)], None).ok(), Some(4));
        assert_eq!(given(&[Some(100), Some(300), None], None).ok(), Some(3));
        assert!(matches!(given(&[Some(100), None], None), Err(Error::NotReachable { .. })));
        assert!(matches!(given(&[Some(100), Some(200)], Some(5)), Err(Error::Missing { .. })));
        assert_eq!(given(&[Some(100), Some(300)], Some(5)).ok(), Some(3));
    }

    #[test]
    fn a_clock_that_was_set_back_ends_no_log_early() {
        let states = states(&[Some(100), Some(50), Some(300)]);
        assert_eq!(
            at(&states, second(60)).ok(),
            None,
            "the first had not ended then, as far as the logs tell"
        );
        assert_eq!(at(&states, second(100)), Ok(4));
    }

    #[test]
    fn the_end_of_the_last_log_of_windows_is_not_known() {
        let states = states(&[Some(100), None]);
        assert_eq!(at(&states, second(100)), Ok(3));
        assert!(at(&states, second(101)).unwrap_err().contains("only generation 0x3"));
        assert_eq!(at(&states, Until::Generation(Generation::new(4).unwrap())), Ok(4));
    }

    #[test]
    fn what_lies_behind_a_hole_cannot_be_reached() {
        let first = Generation::new(3).unwrap();
        let logs = [3, 4, 6].into_iter().filter_map(Generation::new);
        let states = states_from(first, logs, |_| None);
        assert_eq!(states.last().unwrap().generation.number(), 4);
        for number in [2, 5, 6] {
            assert!(at(&states, Until::Generation(Generation::new(number).unwrap())).is_err(), "{number}");
        }
        assert!(at(&states, second(1)).unwrap_err().contains("no moment"));
    }
}
