//! The crate judged from outside: by published and worked examples, by laws, and by captures of Windows machines, which lie
//! beside the repository and not in it.

mod capture;
mod captures;
mod common;
mod dcom_properties;
mod dcom_vectors;
mod independent_stubs;
mod methods;
mod ndr;
mod other_methods;
mod rpc_client;
mod rpc_properties;
mod rpc_server;
mod rpc_vectors;
