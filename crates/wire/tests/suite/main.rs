//! The crate judged by real traffic: captures of Windows machines, which lie beside the repository and not in it.

mod capture;
mod captures;
