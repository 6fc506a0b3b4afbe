//! The sending half of a connection: the state machine, the sealer, and the request that waits for its turn.
//!
//! The request armed for this purpose is sent as soon as the last fragment of the answer before it has arrived. So the
//! server works on the next answer while the caller still unseals and stores the last one.

use std::io::Write;

use certadm_auth::{Level, Protection, SealError, Sealer, Segments};
use certadm_wire::ndr::Guid;
use certadm_wire::rpc::{
    AuthLevel, AuthType, ClientConnection, ClientError, EncodeError, Layout, Pdu, SyntaxId, Verifier,
};

use crate::stream::Stream;

/// A request that is ready to go.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) interface: SyntaxId,
    pub(crate) opnum: u16,
    pub(crate) object: Option<Guid>,
    pub(crate) stub: Vec<u8>,
}

/// A request to be sent when the answer to `after` has arrived.
#[derive(Debug)]
pub(crate) struct Armed {
    pub(crate) after: u32,
    pub(crate) request: Ready,
}

/// The security context of a connection, as its trailers name it (wire.md 2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecurityId {
    pub(crate) auth_type: AuthType,
    pub(crate) context_id: u32,
    pub(crate) protection: Protection,
}

impl SecurityId {
    /// The level of every PDU: always packet privacy.
    pub(crate) const LEVEL: AuthLevel = AuthLevel::Privacy;

    /// Whether a trailer is of this context.
    pub(crate) fn owns(&self, verifier: &Verifier<'_>) -> bool {
        (verifier.auth_type, verifier.level, verifier.context_id)
            == (self.auth_type, Self::LEVEL, self.context_id)
    }
}

/// Why nothing was sent, or only a part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Machine(#[from] ClientError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What sends on one connection.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) machine: ClientConnection,
    pub(crate) armed: Option<Armed>,
    /// What became of the armed request: its call id once it is sent.
    pub(crate) fired: Option<Result<u32, SendError>>,
    /// The last call whose answer is there to its last fragment, sealed still.
    arrived: u32,
    stream: Stream,
    security: Option<(SecurityId, Sealer)>,
    pdu: Vec<u8>,
}

impl Outlet {
    pub(crate) fn new(stream: Stream, machine: ClientConnection) -> Self {
        Self { machine, armed: None, fired: None, arrived: 0, stream, security: None, pdu: Vec::new() }
    }

    /// From now on every request is sealed.
    pub(crate) fn protect(&mut self, id: SecurityId, sealer: Sealer) {
        self.security = Some((id, sealer));
    }

    /// Sends a PDU of the bind class as it is.
    pub(crate) fn send_plain(stream: &Stream, pdu: &Pdu<'_>) -> Result<(), SendError> {
        let mut bytes = Vec::new();
        pdu.encode(&mut bytes)?;
        { stream }.write_all(&bytes)?;
        Ok(())
    }

    /// Sends a request, all its fragments. Returns its call id.
    pub(crate) fn send(&mut self, request: &Ready) -> Result<u32, SendError> {
        let Self { machine, stream, security, pdu: bytes, .. } = self;
        let token = match security {
            // The mechanisms' tokens have at most some hundred bytes.
            Some((_, sealer)) => vec![0; sealer.token_size(Level::Privacy)],
            None => Vec::new(),
        };
        let token_size = security.is_some().then(|| u16::try_from(token.len()).unwrap_or(u16::MAX));
        let outgoing =
            machine.call(request.interface, request.opnum, request.object, request.stub.len(), token_size)?;
        for fragment in outgoing.fragments.clone() {
            let verifier = security.as_ref().map(|(id, _)| Verifier {
                auth_type: id.auth_type,
                level: SecurityId::LEVEL,
                context_id: id.context_id,
                token: &token,
            });
            let layout = outgoing.pdu(&fragment, &request.stub, verifier).encode(bytes)?;
            if let Some((id, sealer)) = security {
                seal(sealer, id.protection, &layout, bytes)?;
            }
            { &*stream }.write_all(bytes)?;
        }
        Ok(outgoing.call_id)
    }

    /// Lets `request` be sent as soon as the answer to `after` is there, which may be at once.
    pub(crate) fn arm(&mut self, after: u32, request: Ready) {
        self.armed = Some(Armed { after, request });
        self.fire();
    }

    /// The answer to `call_id`, and with it those before, is there; told as often as the caller likes.
    pub(crate) fn answer_arrived(&mut self, call_id: u32) {
        if self.arrived != call_id {
            self.arrived = call_id;
            self.fire();
        }
    }

    /// Sends the armed request when its time has come. What became of it is left in `fired`.
    fn fire(&mut self) {
        // Calls are answered in their order, so that a later answer means an earlier one.
        if let Some(armed) = self.armed.take_if(|armed| armed.after <= self.arrived) {
            let sent = self.send(&armed.request);
            self.fired = Some(sent);
        }
    }
}

fn seal(
    sealer: &mut Sealer,
    protection: Protection,
    layout: &Layout,
    pdu: &mut [u8],
) -> Result<(), SealError> {
    let (segments, token) = Segments::split(pdu, layout.header.end, layout.token.len())?;
    sealer.seal(protection, segments, token)
}
