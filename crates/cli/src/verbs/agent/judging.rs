//! The judgement of all CAs, which the agent starts now and then as a process of its own.

use std::ffi::OsStr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Agent, AtWork, FIGURES, PAGE};
use crate::verbs::protected::LOOK;

/// How often all CAs are judged, so that an alarm begins although no run ends.
const JUDGE: Duration = Duration::from_secs(15 * 60);
/// How soon after a run that is done again at the earliest, so that page and figures are of now.
const JUDGE_NEWS: Duration = Duration::from_secs(60);
/// How long that may take, and no longer than a run may.
const JUDGING: Duration = Duration::from_secs(30 * 60);
/// How long the look at one of them may take, and what is told of it.
const A_CA: Duration = LOOK.saturating_add(Duration::from_secs(30));

impl Agent {
    /// All CAs are judged now and then, beside what the runs say of their own.
    pub(super) fn judge(&mut self) {
        // Each CA may take its time.
        let pairs: usize = self.config.jobs.values().map(|job| job.cas.len()).sum();
        let all = A_CA.saturating_mul(u32::try_from(pairs).unwrap_or(u32::MAX));
        let limit = JUDGING.max(all).min(self.time_limit());
        let waited = self.judging.as_mut().map(|judging| judging.child.try_wait());
        if let Some(Ok(Some(status))) = waited {
            self.judged_with(status.code());
        }
        if let Some(judging) = &mut self.judging
            && matches!(waited, Some(Ok(None)))
        {
            let (is_stopped, is_stuck) = (judging.limit(limit), judging.is_stuck());
            if is_stopped {
                let limit = limit.as_secs();
                self.warn(&format!(
                    "the judgement of all CAs takes longer than {limit} s, and is stopped: an alarm may be missing"
                ));
            }
            if !is_stuck {
                return;
            }
            // Nobody can end it. The next one may find another way, and without it nobody hears anything any more.
        }
        self.judging = None;
        let patience = if self.has_news { JUDGE_NEWS } else { JUDGE };
        if self.judged.is_none_or(|judged| patience <= judged.elapsed()) {
            self.judged = Some(Instant::now());
            self.has_news = false;
            let [page, figures] = [PAGE, FIGURES].map(|name| self.config.state.join(name));
            let words = ["--quiet", "status", "--notify", "--html"].map(OsStr::new);
            let trouble = self.page_trouble.clone();
            let files = [page.as_os_str(), OsStr::new("--prometheus"), figures.as_os_str()];
            let of_page = ["--page-trouble", trouble.as_str()].map(OsStr::new);
            self.keep();
            let started = self.start(words.into_iter().chain(files).chain(of_page));
            if let Err(error) = &started {
                self.is_unjudged.store(true, Ordering::Relaxed);
                self.warn(&format!("no judgement can be started, and an alarm may be missing: {error}"));
            }
            self.judging = started.ok().map(AtWork::new);
        }
    }

    /// A judgement has ended. One that fails may have told nobody, so that it is said where the agent is watched.
    fn judged_with(&self, code: Option<i32>) {
        let is_failed = !matches!(code, Some(0 | 1));
        self.is_unjudged.store(is_failed, Ordering::Relaxed);
        if is_failed {
            let code = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with code {code}"));
            self.warn(&format!(
                "the judgement of all CAs has ended {code}, and an alarm may be missing: certadm status --notify says why"
            ));
        }
    }
}
