//! Repositories: what a backup leaves in them whatever fails, what is found when they are damaged, and what stock restic
//! makes of them.

mod common;
mod damage;
mod expire;
mod faults;
mod keys;
mod objects;
mod restic;
mod sets;
