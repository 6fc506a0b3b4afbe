//! The real binary, run as its users run it: what it prints, what it leaves behind, how it ends.

mod ages;
#[cfg(all(unix, feature = "repository"))]
mod alarms;
mod beside;
mod capture;
#[cfg(all(unix, feature = "repository"))]
mod completing;
#[cfg(all(unix, feature = "repository"))]
mod configuration;
#[cfg(all(unix, feature = "repository"))]
mod damaged;
mod emergency_crl;
mod errors;
mod events;
mod exit_codes;
#[cfg(all(unix, feature = "repository"))]
mod fleet;
mod gap;
mod hashes;
mod help;
mod hostile_databases;
mod hostile_folder;
mod hostile_identity;
mod hostile_numbers;
mod hostile_sets;
mod identity;
mod interrupted;
#[cfg(all(unix, feature = "repository"))]
mod jobs;
mod json_contract;
mod kerberos;
#[cfg(all(unix, feature = "repository"))]
mod killed_runs;
mod life;
#[cfg(all(unix, feature = "object-store"))]
mod listeners;
#[cfg(unix)]
mod logons;
mod many_files;
mod modes;
mod names;
mod old_sets;
mod ownership;
mod pages;
mod paths;
#[cfg(all(unix, feature = "repository"))]
mod readme;
mod rehearse;
mod remote;
#[cfg(all(unix, feature = "repository"))]
mod repository;
mod restoring;
mod returning;
mod second_folder;
mod secrets;
mod serve;
#[cfg(all(unix, feature = "object-store"))]
mod shown;
mod signing;
#[cfg(all(unix, feature = "repository"))]
mod stands;
mod support;
mod terminal;
#[cfg(all(unix, feature = "repository"))]
mod timers;
#[cfg(all(unix, feature = "repository"))]
mod told;
mod transfers;
mod tshark;
#[cfg(all(unix, feature = "repository"))]
mod tutorial;
mod units;
mod unsound;
mod until;
#[cfg(all(unix, feature = "repository"))]
mod vault_damage;
mod whole_ca;
#[path = "../../../set/tests/suite/windows_files.rs"]
mod windows_files;
mod windows_sets;
mod wrong_files;
