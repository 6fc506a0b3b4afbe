//! The crate judged from outside: by the tables and examples of its specification, and by laws.

mod lists;
mod registration;
mod sequence_model;
mod sequence_table;
