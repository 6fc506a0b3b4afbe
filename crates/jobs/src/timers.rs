//! Units of systemd for those who prefer timers to the agent: a service and a timer a job.

use certadm_rules::words::counted;

use crate::config::{Ca, Config, Job};
use crate::plan::ASK;
use crate::schedule::Schedule;

/// How a line with moments of a calendar begins.
const DAYS: &str = "OnCalendar=";
/// A step that has failed is tried again within an hour, whatever its schedule. A time that the local clock passes over in spring is no
/// moment for systemd (systemd.time(7)), and a slot of a schedule all the same: it is caught up then, too.
const EACH_HOUR: &str = "OnCalendar=*-*-* *:05:00 UTC";

/// A file with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its name, such as `certadm-run-nightly.timer`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// The units of all jobs. `program` is the command's path.
#[must_use]
pub fn units(config: &Config, program: &str) -> Vec<Unit> {
    config.jobs.values().flat_map(|job| [service(config, job, program), timer(config, job)]).collect()
}

fn service(config: &Config, job: &Job, program: &str) -> Unit {
    let name = &job.name;
    // As long as the agent's runs may take, one after the other.
    let in_turn = i64::try_from(job.cas.len().div_ceil(config.at_once)).unwrap_or(i64::MAX);
    // Commands alone know variables (systemd.service(5), systemd.exec(5)).
    let program = escaped(program).replace('$', "$$");
    let limit = config.time_limit.saturating_mul(in_turn);
    let text = format!(
        "[Unit]\nDescription=What is due of the job {name} of certadm\nDocumentation=man:certadm-run(1)\n\
         After=network-online.target\nWants=network-online.target\n\n\
         [Service]\nType=oneshot\nExecStart=\"{program}\" run {name}\nEnvironment=\"CERTADM_JOBS={}\"\n\
         # What hangs would keep the timer from starting it again. Whatever becomes of it, alarms are told.\n\
         TimeoutStartSec={limit}\nExecStopPost=-\"{program}\" --quiet status {name} --notify\n\
         # The command stops what it has started, in order; a place that hangs is told after five minutes.\nKillMode=mixed\n\
         TimeoutStopSec=900\n\
         # Something was found: an alarm tells it, and the unit has not failed.\nSuccessExitStatus=1\n\
         RuntimeDirectory=certadm-run\nRuntimeDirectoryPreserve=yes\nUMask=0077\nLimitCORE=0\nNice=10\nIOSchedulingClass=idle\n",
        escaped(&config.path.display().to_string()),
    );
    Unit { name: format!("certadm-run-{name}.service"), text }
}

fn timer(config: &Config, job: &Job) -> Unit {
    let name = &job.name;
    let has_to_ask = job.cas.iter().filter_map(|ca| config.cas.get(ca)).any(Ca::has_to_be_asked);
    let ask = has_to_ask.then_some(ASK);
    let schedules = [job.full, job.logs, job.verify, job.complete, job.rehearse, ask];
    let mut lines: Vec<String> = schedules.into_iter().flatten().flat_map(calendar).collect();
    lines.push(EACH_HOUR.to_owned());
    lines.sort();
    lines.dedup();
    let text = format!(
        "[Unit]\nDescription=Timer of the job {name} of certadm, {}\n\n[Timer]\n{}\n\
         # What was missed while the machine was off is caught up once.\nPersistent=true\nAccuracySec=1s\n\n\
         [Install]\nWantedBy=timers.target\n",
        counted(job.cas.len() as u64, "CA"),
        lines.join("\n"),
    );
    Unit { name: format!("certadm-run-{name}.timer"), text }
}

/// The lines of a timer whose moments have all slots of a schedule among them, but for one that the local clock passes over. A run does
/// what is due, and no more: a moment too many does no harm.
fn calendar(schedule: Schedule) -> Vec<String> {
    let text = schedule.to_string();
    let words: Vec<&str> = text.split(' ').collect();
    match (schedule, words.as_slice()) {
        (Schedule::Every(seconds), _) => match seconds {
            // `00/24` is beyond the hours that there are.
            86_400 => vec![format!("{DAYS}*-*-* 00:00:00 UTC")],
            // Counted from midnight in UTC, as the schedule counts.
            _ if seconds % 3_600 == 0 && 86_400 % seconds == 0 => {
                vec![format!("{DAYS}*-*-* 00/{}:00:00 UTC", seconds / 3_600)]
            }
            _ if seconds % 60 == 0 && 3_600 % seconds == 0 => {
                vec![format!("{DAYS}*-*-* *:00/{}:00 UTC", seconds / 60)]
            }
            // No calendar has it: the run is asked each quarter of that time.
            _ => vec![format!("OnBootSec=1min\nOnUnitActiveSec={}", (seconds / 4).max(60))],
        },
        (Schedule::Monthly(day, _), [.., clock]) => {
            // The last day of months that are too short.
            let mut lines = vec![format!("{DAYS}*-*-{day:02} {clock}:00")];
            if 28 < day {
                lines.push(format!("{DAYS}*-*~01 {clock}:00"));
            }
            lines
        }
        (Schedule::Weekly(..), [_, day, clock]) => {
            let mut day = (*day).to_owned();
            day[..1].make_ascii_uppercase();
            vec![format!("{DAYS}{day} *-*-* {clock}:00")]
        }
        (_, [.., clock]) => vec![format!("{DAYS}*-*-* {clock}:00")],
        (_, []) => Vec::new(),
    }
}

/// A word in quotation marks of a unit: no specifier, no end of the word.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_asks_a_ca_of_the_network_has_the_moments_for_it() {
        for (ca, asks) in [("dir = '/a'", false), ("server = 'a'", true)] {
            let text = format!("[ca]\na = {{ {ca} }}\n[job.j]\nca = 'a'\nto = '/b'\nfull = 'daily 02:00'");
            let config = Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
            let timer = &units(&config, "certadm")[1].text;
            assert_eq!(timer.contains("OnCalendar=*-*-* 00/6:00:00 UTC"), asks, "{timer}");
        }
    }

    #[test]
    fn a_slot_that_the_clock_passes_over_is_caught_up_and_a_variable_is_none() {
        let of = |full: &str| {
            let text = format!("[ca]\na = {{ dir = '/a' }}\n[job.j]\nca = 'a'\nto = '/b'\nfull = '{full}'");
            let config = Config::parse(&text, "/etc/x$y/certadm.toml".as_ref()).unwrap();
            let [service, timer] = <[Unit; 2]>::try_from(units(&config, "/opt/$x/certadm")).unwrap();
            assert!(service.text.contains("ExecStart=\"/opt/$$x/certadm\" run j\n"), "{}", service.text);
            let configured = "Environment=\"CERTADM_JOBS=/etc/x$y/certadm.toml\"\n";
            assert!(service.text.contains(configured), "{}", service.text);
            timer.text.lines().filter(|line| *line == EACH_HOUR).count()
        };
        for full in ["daily 02:30", "weekly sun 02:30", "monthly 31 02:30", "every 6h", "every 36h"] {
            assert_eq!(of(full), 1, "{full}");
        }
    }

    #[test]
    fn a_run_that_hangs_is_ended_after_the_time_that_its_cas_may_take_and_its_alarms_are_told() {
        let text = "time-limit = '1h'\nat-once = 2\n[ca]\na = { dir = '/a' }\nb = { dir = '/b' }\nc = { dir = '/c' }\n\
                    [job.j]\nca = 'all'\nto = '/t'\nfull = 'daily 02:00'";
        let config = Config::parse(text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        let service = &units(&config, "/opt/$x/certadm")[0].text;
        let told = "ExecStopPost=-\"/opt/$$x/certadm\" --quiet status j --notify";
        for line in ["TimeoutStartSec=7200", told] {
            assert!(service.lines().any(|here| here == line), "{line}: {service}");
        }
    }

    #[test]
    fn a_timer_has_the_slots_of_all_schedules() {
        let of = |text: &str| calendar(text.parse().unwrap()).join("; ");
        for (schedule, lines) in [
            ("daily 02:00", "OnCalendar=*-*-* 02:00:00"),
            ("weekly sun 03:05", "OnCalendar=Sun *-*-* 03:05:00"),
            ("monthly 1 04:00", "OnCalendar=*-*-01 04:00:00"),
            ("monthly 31 04:00", "OnCalendar=*-*-31 04:00:00; OnCalendar=*-*~01 04:00:00"),
            ("every 15m", "OnCalendar=*-*-* *:00/15:00 UTC"),
            ("every 6h", "OnCalendar=*-*-* 00/6:00:00 UTC"),
            ("every 24h", "OnCalendar=*-*-* 00:00:00 UTC"),
            ("every 1d", "OnCalendar=*-*-* 00:00:00 UTC"),
            ("every 12h", "OnCalendar=*-*-* 00/12:00:00 UTC"),
            ("every 60m", "OnCalendar=*-*-* 00/1:00:00 UTC"),
            ("every 1m", "OnCalendar=*-*-* *:00/1:00 UTC"),
            ("every 90m", "OnBootSec=1min\nOnUnitActiveSec=1350"),
            ("every 36h", "OnBootSec=1min\nOnUnitActiveSec=32400"),
            ("every 7h", "OnBootSec=1min\nOnUnitActiveSec=6300"),
        ] {
            assert_eq!(of(schedule), lines, "{schedule}");
        }
        assert_eq!(escaped("a\"b%c$d\\e"), "a\\\"b%%c$d\\\\e");
    }
}
