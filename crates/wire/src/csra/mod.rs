//! The methods of `ICertAdminD` and `ICertAdminD2` as stubs, after ORPCTHIS and ORPCTHAT (wire.md 3.2 to 3.8, 5.2, 5.7).
//!
//! * [`Request`]: the calls a backup needs, decoded and encoded.
//! * [`Response`]: their answers.
//! * [`OtherRequest`], [`OtherResponse`]: the same for all other methods.
//! * [`Variant`], [`PropertyValue`], [`CaProperty`], [`CaInfo`]: what travels in them.
//! * [`DatabaseColumn`], [`DatabaseAttribute`], [`DatabaseExtension`], [`ResultRow`]: what the views answer.
//! * [`Method`]: which of all methods an opnum is, and the complete "not implemented" answer to those without
//!   processing.

mod bstr;
mod ca_info;
mod other_request;
mod other_response;
mod packed;
mod request;
mod response;
mod safe_array;
mod table;
mod variant;
mod view;

pub use ca_info::{CaInfo, decode_numbers, encode_numbers};
pub use other_request::{OtherCall, OtherRequest, ViewRestriction};
pub use other_response::{OtherOut, OtherResponse};
pub use packed::{CaProperty, PackedError, PropertyValue};
pub use request::{Request, RequestError};
pub use response::{MAX_BLOB, MAX_CRL_BLOB, Response};
pub use table::{Interface, Method, OutParameters};
pub use variant::Variant;
pub use view::{DatabaseAttribute, DatabaseColumn, DatabaseExtension, ResultColumn, ResultRow};
