//! Sessions over a store: the calls of a local source, and the events that they log.

mod events;
mod local_source;
