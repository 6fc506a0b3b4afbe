//! The crate as its users see it: what our CA answers, what is written of it and read again.

mod attach;
mod own_ca;
