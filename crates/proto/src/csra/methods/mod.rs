//! The methods of `ICertAdminD` and `ICertAdminD2` as stubs, after ORPCTHIS and ORPCTHAT (wire.md 3.2 to 3.8, 5.2, 5.7).
//!
//! * [`Request`]: the calls a backup needs, decoded and encoded.
//! * [`Response`]: their answers.
//! * [`Method`]: which of all methods an opnum is, and the complete "not implemented" answer to those without
//!   processing.

mod request;
mod response;
mod table;

pub use request::{Request, RequestError};
pub use response::{MAX_BLOB, Response};
pub use table::{Interface, Method, OutParameters};
