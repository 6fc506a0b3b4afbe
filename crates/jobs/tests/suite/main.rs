//! Runs of jobs, with commands that only leave what the true ones would leave.

mod acting;
mod damage;
mod signatures;
mod torn;
