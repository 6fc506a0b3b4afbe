//! Bytes and state machines of the network protocols: no I/O, no clock, no unsafe code.
//!
//! Everything here is decided by its arguments alone, so the same code serves the client, the service and the fuzzer.
//! Sockets, files and time belong to the crates above.
//!
//! * [`csra`]: the methods of MS-CSRA as stubs. What the values mean is in `certadm-rules`.
//! * [`dcom`]: objects over RPC.
//! * [`ndr`]: Network Data Representation 2.0, how parameters become bytes.
//! * [`rpc`]: connection-oriented DCE/RPC, its PDUs, fragments, authentication verifiers.

pub mod csra;
pub mod dcom;
pub mod ndr;
pub mod rpc;
