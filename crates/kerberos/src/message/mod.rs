//! The messages of RFC 4120, for whoever sends them and whoever reads them.
//!
//! Fields that a later version may add behind the known ones are skipped. What these messages do not carry here (host
//! addresses, additional tickets, encrypted authorization data of a request) is skipped as well.

mod ap;
mod error;
mod kdc;
mod padata;
mod parts;
mod ticket;

pub use ap::{ApOptions, ApReply, ApRequest, Authenticator, EncApReplyPart};
pub use error::{ErrorCode, KrbError};
pub use kdc::{EncKdcReplyPart, KdcKind, KdcOptions, KdcReply, KdcRequest, RequestBody};
pub use padata::{EtypeInfo2, PaData, PaType, Timestamp};
pub use parts::{AuthorizationData, Checksum, EncryptedData};
pub use ticket::{EncTicketPart, Ticket, TicketFlags};
