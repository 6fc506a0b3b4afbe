//! The server's half of SPNEGO (RFC 4178 4, 5; MS-SPNG; wire.md 2.10, 2.13).
//!
//! NTLM is the one mechanism behind it so far. A first token that is raw NTLM, without any SPNEGO around it, is answered in
//! raw NTLM: Windows does that under auth type 9.

use std::fmt;

use crate::context::{Acceptor, Step};
use crate::error::AuthError;
use crate::names::AccountName;
use crate::ntlm::acceptor::{ChallengedServer, NtlmServer, RawNtlmAcceptor, claimed};
use crate::ntlm::messages::is_ntlm;
use crate::protection::Level;
use crate::server::Server;
use crate::spnego::token::{NegState, NegTokenInit, NegTokenResp, oid};

/// Four legs, or six when NTLM is not the client's first choice; three for raw NTLM.
pub(crate) struct SpnegoAcceptor {
    state: State,
}

enum State {
    Fresh(Server, Level),
    /// The client spoke raw NTLM.
    Raw(RawNtlmAcceptor),
    /// NTLM is chosen; its first token is still to come.
    Chosen(NtlmServer, Negotiation),
    Challenged(ChallengedServer, Negotiation),
    Finished,
}

/// What the negotiation itself has to remember until it can be protected.
struct Negotiation {
    /// The text of mechListMIC.
    mechanism_list: Vec<u8>,
    /// Whether the client's choice was overruled: then mechListMIC must prove that its list was not altered
    /// (RFC 4178 5).
    mic_required: bool,
}

impl SpnegoAcceptor {
    pub(crate) fn new(server: Server, level: Level) -> Self {
        Self { state: State::Fresh(server, level) }
    }
}

impl Acceptor for SpnegoAcceptor {
    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError> {
        let (state, step) = match std::mem::replace(&mut self.state, State::Finished) {
            State::Fresh(server, level) if is_ntlm(token_in) => {
                let mut raw = RawNtlmAcceptor::new(server, level);
                let step = raw.step(token_in)?;
                (State::Raw(raw), step)
            }
            State::Fresh(server, level) => begin(NtlmServer::new(server, level), token_in)?,
            State::Raw(mut raw) => {
                let step = raw.step(token_in)?;
                (State::Raw(raw), step)
            }
            State::Chosen(server, negotiation) => {
                let resp = client_resp(token_in)?;
                let negotiate = resp
                    .response
                    .ok_or(AuthError::UnexpectedToken { what: "SPNEGO without a mechanism token" })?;
                challenge(server, negotiation, negotiate, None)?
            }
            State::Challenged(server, negotiation) => {
                (State::Finished, finish(server, &negotiation, token_in)?)
            }
            State::Finished => return Err(AuthError::Finished),
        };
        self.state = state;
        Ok(step)
    }

    fn claimed(&self, token_in: &[u8]) -> Option<AccountName> {
        match &self.state {
            State::Raw(raw) => raw.claimed(token_in),
            State::Challenged(..) => claimed(NegTokenResp::parse(token_in).ok()?.response?),
            State::Fresh(..) | State::Chosen(..) | State::Finished => None,
        }
    }
}

impl fmt::Debug for SpnegoAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpnegoAcceptor").finish_non_exhaustive()
    }
}

/// Takes NegTokenInit.
fn begin(server: NtlmServer, token: &[u8]) -> Result<(State, Step), AuthError> {
    let init = NegTokenInit::parse(token)?;
    let place = init
        .mechanisms
        .iter()
        .position(|mechanism| *mechanism == oid::NTLM)
        .ok_or(AuthError::NoCommonMechanism { ours: "NTLM" })?;
    let preferred = place == 0;
    let negotiation = Negotiation { mechanism_list: init.mechanism_list, mic_required: !preferred };
    match init.mech_token {
        // the token belongs to the client's first mechanism
        Some(negotiate) if preferred => challenge(server, negotiation, negotiate, Some(oid::NTLM)),
        _ => {
            let state = if preferred { NegState::AcceptIncomplete } else { NegState::RequestMic };
            let resp =
                NegTokenResp { state: Some(state), mechanism: Some(oid::NTLM), ..NegTokenResp::default() };
            Ok((State::Chosen(server, negotiation), Step::next(resp.encode())))
        }
    }
}

/// Answers NEGOTIATE. `mechanism` is named in the first answer only.
fn challenge(
    server: NtlmServer,
    negotiation: Negotiation,
    negotiate: &[u8],
    mechanism: Option<&[u8]>,
) -> Result<(State, Step), AuthError> {
    let (server, challenge) = server.challenge(negotiate)?;
    let resp = NegTokenResp {
        state: Some(NegState::AcceptIncomplete),
        mechanism,
        response: Some(&challenge),
        mic: None,
    };
    let step = Step::next(resp.encode());
    Ok((State::Challenged(server, negotiation), step))
}

/// Takes AUTHENTICATE and the client's mechListMIC, and answers with ours. NTLM first: without a proven secret no field of
/// this token means anything (wire.md 2.13).
fn finish(server: ChallengedServer, negotiation: &Negotiation, token: &[u8]) -> Result<Step, AuthError> {
    let resp = client_resp(token)?;
    let authenticate =
        resp.response.ok_or(AuthError::UnexpectedToken { what: "SPNEGO without a mechanism token" })?;
    let mut session = server.authenticate(authenticate)?;

    let altered = |_| AuthError::Tampered { what: "SPNEGO mechListMIC" };
    let list = &negotiation.mechanism_list;
    let mic = match resp.mic {
        Some(mic) => {
            session.unseal.check_mic(list, mic).map_err(altered)?;
            Some(session.seal.mic(list).map_err(altered)?)
        }
        None if negotiation.mic_required => {
            return Err(AuthError::Tampered { what: "SPNEGO mechListMIC missing" });
        }
        None => None,
    };
    let answer = NegTokenResp {
        state: Some(NegState::AcceptCompleted),
        mic: mic.as_ref().map(<[u8; 16]>::as_slice),
        ..NegTokenResp::default()
    };
    Ok(Step { token_out: answer.encode(), done: Some(session.established()) })
}

/// A NegTokenResp of a client that goes on: it may state `incomplete`, `completed` (all it had to say is in this token) or
/// nothing.
fn client_resp(token: &[u8]) -> Result<NegTokenResp<'_>, AuthError> {
    let resp = NegTokenResp::parse(token)?;
    match resp.state {
        None | Some(NegState::AcceptIncomplete | NegState::AcceptCompleted) => Ok(resp),
        Some(NegState::Reject) => Err(AuthError::RejectedByPeer),
        Some(NegState::RequestMic) => {
            Err(AuthError::UnexpectedToken { what: "SPNEGO request-mic from a client" })
        }
    }
}
