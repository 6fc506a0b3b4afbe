//! The store as its callers see it: backups, recovery, and an owner under load.

mod backup_and_recovery;
mod broken_chains;
mod images;
mod own_logs;
mod owner_under_load;
mod packing;
