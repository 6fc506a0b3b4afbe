//! Repositories: what a backup leaves in them whatever fails, what is found when they are damaged, and what stock restic
//! makes of them.

mod attached;
#[cfg(feature = "object-store")]
mod clouds;
mod common;
mod copy;
mod damage;
mod expire;
mod faults;
mod following;
#[cfg(feature = "object-store")]
mod foreign;
mod gone;
#[cfg(feature = "object-store")]
mod http;
mod keys;
mod objects;
mod repair;
#[cfg(feature = "object-store")]
mod rest;
mod restic;
mod rights;
#[cfg(feature = "object-store")]
mod s3;
mod schedules;
mod sets;
mod sftp;
