//! Bytes and state machines of the certadm protocols: no I/O, no clock, no unsafe code.
//!
//! Whatever is here is decided by its arguments alone, so that the same code serves the client, the service and the
//! fuzzer. Sockets, files and time belong to the crates above.
//!
//! * [`csra`]: what MS-CSRA and the C API of `certbcli.h` say: result codes, lists, names, flags, the order of calls.
//! * [`dcom`]: objects over RPC.
//! * [`ndr`]: Network Data Representation 2.0, how parameters become bytes.
//! * [`rpc`]: connection-oriented DCE/RPC, its PDUs, fragments, authentication verifiers.

pub mod csra;
pub mod dcom;
pub mod ndr;
pub mod rpc;
