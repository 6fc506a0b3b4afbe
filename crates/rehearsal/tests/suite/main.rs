//! Rehearsals of sets that are made here, each step seen passing and failing (recovery.md 8.4), and their evidence.

mod evidence;
mod schema;
mod steps;
mod support;
mod windows;
