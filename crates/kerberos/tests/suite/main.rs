//! The crate from outside.

mod files;
mod messages;
mod sealing;
mod vectors;
mod world;
