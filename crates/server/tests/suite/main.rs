//! The service over loopback, with a client of ours and one of another hand.

mod access;
mod activation;
mod captured;
mod interop;
mod neighbours;
mod peer;
mod principals;
mod sequence;
mod stubs;
mod traffic;
mod world;
