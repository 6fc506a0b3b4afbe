#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`rehearse`]: the steps, in order; [`Wishes`] says with what, [`Watch`] hears of each.
//! * [`evidence`]: what is kept of a rehearsal, as a chain of files, and what the chain shows.
//! * [`place`], [`service`], [`request`]: a scratch folder, a CA's service on loopback, a request: for drills, too.
#![forbid(unsafe_code)]

mod count;
mod crl;
mod error;
pub mod evidence;
mod kept;
mod latest;
mod ours;
pub mod place;
mod rehearse;
pub mod request;
mod sample;
pub mod service;
mod step;
mod times;
mod verdict;
mod windows;
mod wishes;

pub use count::Counts;
pub use error::{Error, Result};
pub use kept::kept_key;
pub use rehearse::{CaFacts, Rehearsal, rehearse};
pub use sample::SampleFacts;
pub use step::{Notes, Outcome, Step, StepRecord, Trouble, Watch};
pub use times::Times;
pub use verdict::{Proof, Verdict};
pub use wishes::{CountedBefore, Keys, Limits, Previous, Sample, Wishes};
