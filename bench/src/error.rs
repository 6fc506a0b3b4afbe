//! What ends a run early: anything.

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
