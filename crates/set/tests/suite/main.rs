//! Sets: what is written, what verification finds, what a restore refuses.

mod bit_flips;
mod common;
mod giving_up;
mod hostile_source;
mod kept_logs;
mod pace;
mod pasts;
mod prune;
mod recovered;
mod second;
mod signing;
mod windows_files;
mod windows_folders;
mod windows_sets;
mod wrong_chains;
