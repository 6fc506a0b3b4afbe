//! DCOM: objects over RPC (wire.md 4).
//!
//! * [`OrpcThis`] and [`OrpcThat`]: what every call on an object and every answer begin with.

mod orpc;

pub use orpc::{ComVersion, OrpcThat, OrpcThis};
