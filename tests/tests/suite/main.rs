//! The system suites: several processes, real folders, faults and kills.

mod backup_under_load;
mod command_faults;
mod disk_full;
mod kill_rounds;
mod store_faults;
mod strangers;
mod write_order;
