//! The real binary, run as its users run it: what it prints, what it leaves behind, how it ends.

mod capture;
mod errors;
mod help;
mod json_contract;
mod life;
mod ownership;
mod remote;
mod secrets;
mod serve;
mod support;
mod tshark;
mod windows;
#[path = "../../../set/tests/common/windows.rs"]
mod windows_files;
