//! The connection-oriented DCE/RPC protocol (wire.md 2; C706 chapter 12; RPCE 2.2.2).
//!
//! * [`Header`]: the 16 bytes every PDU begins with, and how a byte stream is cut into PDUs.
//! * [`Pdu`]: all PDUs, decoded and encoded; fragments and tokens are borrowed, not copied.
//! * [`Verifier`] and [`Layout`]: authentication, and which bytes of a PDU are signed, sealed or token.
//! * [`bind`](self::BindBody): presentation contexts, their results, feature negotiation.
//! * [`FaultStatus`]: why a call failed, and its code for the caller; [`ErrorRecord`]: what a Windows server tells beside it.
//! * [`FragmentPlan`] and [`Assembly`]: a stub cut into fragments and put together again.
//! * [`VerificationTrailer`]: what a client adds so that a stripped header shows.
//! * [`ClientConnection`]: the client's side of a connection as a state machine.
//! * [`MapperRequest`] and [`MapperResponse`]: the endpoint mapper, as far as it is needed.
//! * [`ServerConnection`]: the server's side of a connection as a state machine.

mod bind;
mod client;
mod endpoint_mapper;
mod error;
mod extended_error;
mod fault;
mod fragment;
mod header;
mod pdu;
mod server;
mod trailer;
mod verifier;

pub use certadm_rules::AuthType;

pub use bind::{
    AckBody, BindBody, BindOutcome, ContextElement, Features, NakBody, NakReason, ProviderReason, SyntaxId,
    negotiate,
};
pub use client::{ClientConnection, ClientError, ClientEvent, ClientLimits, Outgoing};
pub use endpoint_mapper::{Floor, LookupHandle, MapperRequest, MapperResponse, TcpTower, Tower};
pub use error::{EncodeError, PduError};
pub use extended_error::{ErrorParameter, ErrorRecord, ExtendedError};
pub use fault::{FaultBody, FaultStatus};
pub use fragment::{Assembly, AssemblyError, Fragment, FragmentError, FragmentPlan, MAX_REQUEST_STUB};
pub use header::{Flags, Header, MAX_FRAGMENT, MIN_FRAGMENT, PduKind};
pub use pdu::{Body, Pdu, RequestBody, ResponseBody};
pub use server::{
    AuthLeg, Call, LegResult, LevelRule, SecurityContext, SecurityState, ServerConnection, ServerEvent,
    ServerLimits,
};
pub use trailer::{Command, TrailerContext, TrailerEntry, TrailerError, VerificationTrailer};
pub use verifier::{AuthLevel, Layout, Verifier};
