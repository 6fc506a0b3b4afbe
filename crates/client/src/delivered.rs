//! Which files were delivered to the caller: the CA counts what it sent, and reads run ahead of the caller.
//!
//! A file that the caller closes early is not backed up (certbcli.md 6.6, 7.1). Where the CA has sent all of it all the
//! same, because the last read was larger than what the caller wanted of it, only this side can know.

use std::collections::HashSet;

use certadm_rules::Hresult;
use certadm_rules::names::{folded, last_component, names_a_log};

/// The files of one backup that were closed, as the caller saw them.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    open: Option<String>,
    whole: HashSet<String>,
    /// The CA takes these for backed up; the caller does not have all of them.
    short: HashSet<String>,
    logs_listed: bool,
    truncated: bool,
}

/// How a backup ends whose CA may have sent more than the caller took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As the CA says.
    TheirWord,
    /// The CA must not note a backup. The code is the result of the end (certbcli.md 7.1, 8.4).
    NoMark(Hresult),
}

impl Delivered {
    /// A file was opened.
    pub(crate) fn opened(&mut self, name: &str) {
        self.open = Some(folded(name));
    }

    /// The open file was closed. `all` says whether the caller has every byte, `sent` whether the CA thinks so.
    pub(crate) fn closed(&mut self, all: bool, sent: bool) {
        let Some(name) = self.open.take() else { return };
        if all {
            self.short.remove(&name);
            self.whole.insert(name);
        } else if sent && !self.whole.contains(&name) {
            self.short.insert(name);
        }
    }

    /// The logs were listed.
    pub(crate) const fn logs_listed(&mut self) {
        self.logs_listed = true;
    }

    /// The CA has deleted its logs.
    pub(crate) const fn truncated(&mut self) {
        self.truncated = true;
    }

    /// Whether BackupEnd is right for a backup that is given up: before the logs are listed the CA takes it for aborted by itself
    /// (certbcli.md 6.9, 8.4), and once they are deleted its set stands.
    pub(crate) const fn ends_without_abort(&self) -> bool {
        self.truncated || !self.logs_listed
    }

    /// Whether a truncation has to be refused here. In the other phases the CA refuses by itself.
    pub(crate) fn refuses_truncation(&self) -> bool {
        !self.short.is_empty() && self.logs_listed && self.open.is_none()
    }

    /// How the backup ends.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.short.is_empty() {
            Verdict::TheirWord
        } else if self.short.iter().all(|name| names_a_log(last_component(name))) {
            Verdict::NoMark(Hresult::S_OK)
        } else {
            Verdict::NoMark(Hresult::BACKUP_ABORT_BY_CALLER)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = r"\\h\root$\ca\database\CA.db";
    const LOG: &str = r"\\h\root$\ca\log\edb00001.log";

    fn after(files: &[(&str, bool, bool)]) -> Delivered {
        let mut delivered = Delivered::default();
        for (name, all, sent) in files {
            delivered.opened(name);
            delivered.closed(*all, *sent);
        }
        delivered.logs_listed();
        delivered
    }

    #[test]
    fn what_the_ca_sent_in_vain_is_not_backed_up() {
        let early = after(&[(DATABASE, false, true), (LOG, true, true)]);
        assert!(early.refuses_truncation());
        assert_eq!(early.verdict(), Verdict::NoMark(Hresult::BACKUP_ABORT_BY_CALLER));
        let log = after(&[(DATABASE, true, true), (LOG, false, true)]);
        assert!(log.refuses_truncation());
        assert_eq!(log.verdict(), Verdict::NoMark(Hresult::S_OK));
    }

    #[test]
    fn what_the_ca_knows_is_left_to_it() {
        let known = after(&[(DATABASE, false, false), (LOG, true, true)]);
        assert!(!known.refuses_truncation());
        assert_eq!(known.verdict(), Verdict::TheirWord);
    }

    #[test]
    fn one_whole_reading_is_enough() {
        for files in
            [[(LOG, true, true), (LOG, false, true)], [(LOG, false, true), (&LOG.to_uppercase(), true, true)]]
        {
            assert_eq!(after(&files).verdict(), Verdict::TheirWord);
        }
    }

    #[test]
    fn other_phases_are_the_cas_to_judge() {
        let mut delivered = Delivered::default();
        delivered.opened(DATABASE);
        delivered.closed(false, true);
        assert!(!delivered.refuses_truncation());
        delivered.logs_listed();
        delivered.opened(LOG);
        assert!(!delivered.refuses_truncation());
    }
}
