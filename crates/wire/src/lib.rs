#![doc = include_str!("../README.md")]

pub mod csra;
pub mod dcom;
pub mod ndr;
pub mod rpc;
