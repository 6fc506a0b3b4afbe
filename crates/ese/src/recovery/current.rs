//! A current log (`edb.log`) beside the numbered logs of a set: it continues them, or it came there by mistake. The files
//! of a live CA have one that belongs to them; a backup set has none, and one that was copied there later says nothing
//! about the logs of the set.

use certadm_rules::finding::{Finding, Kind, Spot};

use super::{LogInput, Plan};
use crate::code::Code;
use crate::error::Error;
use crate::log::chain::ChainCodes;
use crate::log::{LogFile, LogHeader};
use crate::pager::same_bytes;

impl<'a> Plan<'a> {
    /// Reads current logs, after all numbered ones. One that cannot belong to them is one finding and is left out: no
    /// gap before it is a gap of the set.
    pub(super) fn read_current(&mut self, logs: Vec<LogInput<'a>>) -> Result<(), Error> {
        let mut readable = Vec::new();
        for log in logs {
            match LogFile::read_header(log.file) {
                Ok(header) => readable.push((header, log)),
                Err(error @ Error::Io(_)) => return Err(error),
                // It may be what is missing.
                Err(_) if self.needs_more() => self.read_log(log)?,
                Err(error) => {
                    let reason = format!("it cannot be read ({})", error.detail());
                    self.leave_out(&log, None, &reason, error.code());
                }
            }
        }
        readable.sort_by_key(|(header, _)| header.generation);
        for (header, log) in readable {
            match self.why_not_of_the_set(&header, &log)? {
                Some((reason, code)) => self.leave_out(&log, Some(header.generation), &reason, code),
                None => self.read_log(log)?,
            }
        }
        Ok(())
    }

    /// True where the numbered logs are none, or do not reach as far as the database needs. A clean one needs none.
    fn needs_more(&self) -> bool {
        match (self.given(), self.required) {
            (None, _) => !self.is_clean(),
            (Some(given), Some(required)) => given.high < required.high,
            (Some(_), None) => false,
        }
    }

    /// Why a current log is none of the set; `None` where it may be.
    fn why_not_of_the_set(
        &self,
        header: &LogHeader,
        log: &LogInput<'_>,
    ) -> Result<Option<(String, Code)>, Error> {
        let codes = ChainCodes::EXISTING;
        let generation = header.generation;
        let Some(given) = self.given().filter(|_| !self.needs_more()) else { return Ok(None) };
        let own = self.header.as_ref().map(|database| database.log_signature()).filter(|own| !own.is_none());
        let set = self.logs.values().next().map(|(first, _)| first.signature);
        // A set whose own logs disagree with each other or with the database has another fault than this log.
        let all_alike = self.logs.values().all(|(first, _)| Some(first.signature) == set);
        let set = set.filter(|set| all_alike && own.is_none_or(|own| own == *set));
        let Some(set) = set else { return Ok(None) };
        if header.signature != set {
            let reason = "it is of another sequence than the set".to_owned();
            return Ok(Some((reason, codes.foreign_log)));
        }
        if let Some((_, known)) = self.logs.get(&generation) {
            let is_copy = same_bytes(known.file, log.file)?;
            let reason =
                format!("it is another state of generation {generation:#x}, which {} has", known.name);
            return Ok((!is_copy).then_some((reason, codes.link)));
        }
        if (given.low..given.high).contains(&generation) {
            return Ok(None);
        }
        let is_needed = self.required.is_some_and(|required| required.low <= generation);
        if generation < given.low && !is_needed {
            let reason = format!("it is older than the logs of the set, which begin with {:#x}", given.low);
            return Ok(Some((reason, codes.link)));
        }
        if generation < given.low {
            return Ok(None);
        }
        if given.high.checked_add(1) != Some(generation) {
            let reason =
                format!("the logs of the set end with {:#x}, and what lies between is not here", given.high);
            return Ok(Some((reason, codes.missing)));
        }
        let before = self.logs.get(&given.high).map(|(before, _)| before.created);
        let reason = format!("it was made after another log {:#x} than the one of the set", given.high);
        Ok((before != Some(header.previous_created)).then_some((reason, codes.link)))
    }

    fn leave_out(&mut self, log: &LogInput<'_>, generation: Option<u32>, reason: &str, code: Code) {
        let what = match generation {
            Some(generation) => {
                format!("a current log, of generation {generation:#x}, that is left out: {reason}")
            }
            None => format!("a current log that is left out: {reason}"),
        };
        let remedy = match self.is_copy() {
            true => {
                "take it out of the folder: a backup set has no such file, and Windows may stumble over it"
            }
            false => "the database does not need it; where it is to go on with its logs, copy them again",
        };
        let mut finding = Finding::warning(Kind::LogStray, what).code(code).in_file(log.name).remedy(remedy);
        finding.place.spot = generation.map(Spot::Log);
        self.findings.push(finding);
    }
}
