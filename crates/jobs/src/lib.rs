#![doc = include_str!("../README.md")]

pub mod agent;
pub mod alarm;
pub mod children;
pub mod command;
pub mod config;
pub mod damage;
pub mod event_log;
pub mod evidence;
pub mod held;
mod http;
pub mod journal;
mod json_file;
pub mod judge;
mod known;
pub mod lock;
pub mod mail;
pub mod metrics;
mod names;
pub mod notify;
pub mod page;
pub mod perform;
pub mod place;
pub mod plan;
pub mod points;
pub mod record;
pub mod run;
mod schedule;
#[cfg(feature = "http")]
pub mod serve;
mod span;
pub mod stand;
pub mod status;
mod step;
mod stored;
pub mod story;
pub mod timers;
mod trouble;
mod unheard;
pub mod unreadable;
mod vouched;
mod way;

pub use config::{Ca, Config, Job, Name, Target};
pub use jiff::tz::TimeZone;
pub use run::{CaRun, Event, Runner, Wish};
pub use schedule::{Clock, Day, Schedule};
pub use span::{Seconds, span, span_text};
pub use step::Step;

/// The zone of this machine's clock.
#[must_use]
pub fn local_zone() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::system()
}
