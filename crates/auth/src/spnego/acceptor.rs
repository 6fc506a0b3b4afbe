//! The server's half of SPNEGO (RFC 4178 4, 5; MS-SPNG; wire.md 2.10, 2.13).
//!
//! Kerberos and NTLM stand behind it, as far as the server has them. Of the client's list the first that is spoken here is
//! taken. A first token that is raw NTLM, without any SPNEGO around it, is answered in raw NTLM: Windows does that under
//! auth type 9.

use std::fmt;

use certadm_kerberos::Pending;

use crate::context::{Acceptor, Step};
use crate::error::AuthError;
use crate::kerberos::acceptor::{KerberosServer, KerberosSession};
use crate::names::AccountName;
use crate::ntlm::acceptor::{ChallengedServer, NtlmServer, RawNtlmAcceptor, claimed};
use crate::ntlm::messages::is_ntlm;
use crate::protection::Level;
use crate::server::Server;
use crate::spnego::token::{NegState, NegTokenInit, NegTokenResp, oid};

/// Four legs, or six when what is taken is not the client's first choice; three for raw NTLM.
pub(crate) struct SpnegoAcceptor {
    state: State,
}

enum State {
    Fresh(Server, Level),
    /// The client spoke raw NTLM.
    Raw(RawNtlmAcceptor),
    /// A mechanism is chosen; its first token is still to come.
    Chosen(Mechanism, Negotiation),
    /// NTLM: AUTHENTICATE is due.
    Challenged(ChallengedServer, Negotiation),
    /// Kerberos: the third message is due.
    Shown(Box<Pending>, Negotiation),
    Finished,
}

/// What was taken of the client's list.
enum Mechanism {
    Ntlm(NtlmServer),
    Kerberos(KerberosServer),
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
                if !server.has_ntlm {
                    return Err(server.no_common_mechanism());
                }
                let mut raw = RawNtlmAcceptor::new(server, level);
                let step = raw.step(token_in)?;
                (State::Raw(raw), step)
            }
            State::Fresh(server, level) => begin(server, level, token_in)?,
            State::Raw(mut raw) => {
                let step = raw.step(token_in)?;
                (State::Raw(raw), step)
            }
            State::Chosen(mechanism, negotiation) => {
                let token = mechanism_token(client_resp(token_in)?)?;
                answer(mechanism, negotiation, token, None)?
            }
            State::Challenged(server, negotiation) => {
                (State::Finished, finish_ntlm(server, &negotiation, token_in)?)
            }
            State::Shown(pending, negotiation) => {
                (State::Finished, finish_kerberos(*pending, &negotiation, token_in)?)
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
            State::Fresh(..) | State::Chosen(..) | State::Shown(..) | State::Finished => None,
        }
    }
}

impl fmt::Debug for SpnegoAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpnegoAcceptor").finish_non_exhaustive()
    }
}

/// Takes NegTokenInit.
fn begin(server: Server, level: Level, token: &[u8]) -> Result<(State, Step), AuthError> {
    let init = NegTokenInit::parse(token)?;
    let unknown = server.no_common_mechanism();
    let mut kerberos = KerberosServer::of(&server, level);
    let mut ntlm = server.has_ntlm.then(|| NtlmServer::new(server, level));
    let spoken = init.mechanisms.iter().enumerate().find_map(|(place, mechanism)| match *mechanism {
        oid::NTLM => Some((place, oid::NTLM, Mechanism::Ntlm(ntlm.take()?))),
        // The very number that the client wrote goes back to it.
        oid::KERBEROS => Some((place, oid::KERBEROS, Mechanism::Kerberos(kerberos.take()?))),
        oid::WINDOWS_KERBEROS => Some((place, oid::WINDOWS_KERBEROS, Mechanism::Kerberos(kerberos.take()?))),
        _ => None,
    });
    let (place, number, mechanism) = spoken.ok_or(unknown)?;
    let preferred = place == 0;
    let negotiation = Negotiation { mechanism_list: init.mechanism_list, mic_required: !preferred };
    match init.mech_token {
        // the token belongs to the client's first mechanism
        Some(token) if preferred => answer(mechanism, negotiation, token, Some(number)),
        _ => {
            let state = if preferred { NegState::AcceptIncomplete } else { NegState::RequestMic };
            let resp =
                NegTokenResp { state: Some(state), mechanism: Some(number), ..NegTokenResp::default() };
            Ok((State::Chosen(mechanism, negotiation), Step::next(resp.encode())))
        }
    }
}

/// Answers the first token of the mechanism: NEGOTIATE, or AP-REQ. `number` is named in the first answer only.
fn answer(
    mechanism: Mechanism,
    negotiation: Negotiation,
    token: &[u8],
    number: Option<&[u8]>,
) -> Result<(State, Step), AuthError> {
    let (state, response) = match mechanism {
        Mechanism::Ntlm(server) => {
            let (server, challenge) = server.challenge(token)?;
            (State::Challenged(server, negotiation), challenge)
        }
        Mechanism::Kerberos(server) => {
            let (pending, reply) = server.accept(token).map_err(|error| wrapped(error, number))?;
            (State::Shown(Box::new(pending), negotiation), reply)
        }
    };
    let resp = NegTokenResp {
        state: Some(NegState::AcceptIncomplete),
        mechanism: number,
        response: Some(&response),
        mic: None,
    };
    Ok((state, Step::next(resp.encode())))
}

/// What the client is told of a refusal travels in SPNEGO, too.
fn wrapped(error: AuthError, number: Option<&[u8]>) -> AuthError {
    match error {
        AuthError::Ticket { error, answer: Some(answer) } => {
            let resp = NegTokenResp {
                state: Some(NegState::Reject),
                mechanism: number,
                response: Some(&answer),
                mic: None,
            };
            AuthError::Ticket { error, answer: Some(resp.encode()) }
        }
        error => error,
    }
}

const TAMPERED: AuthError = AuthError::Tampered { what: "SPNEGO mechListMIC" };
const UNPROVEN: AuthError = AuthError::Tampered { what: "SPNEGO mechListMIC missing" };

/// Takes the client's third message of Kerberos and its mechListMIC, and answers with ours. The signature over the list takes
/// a sequence number; the first PDU has the next one (kerberos.md 2.3).
fn finish_kerberos(pending: Pending, negotiation: &Negotiation, token: &[u8]) -> Result<Step, AuthError> {
    let resp = client_resp(token)?;
    let mut session = KerberosSession::finish(pending, mechanism_token(resp)?)?;
    let list = [&negotiation.mechanism_list[..]];
    let mic = match resp.mic {
        Some(mic) => {
            session.unseal.verify(&list, mic).map_err(|_| TAMPERED)?;
            let mut ours = vec![0; session.seal.signed_token_size()];
            session.seal.sign(&list, &mut ours).map_err(|_| TAMPERED)?;
            Some(ours)
        }
        None if negotiation.mic_required => return Err(UNPROVEN),
        None => None,
    };
    let answer = NegTokenResp {
        state: Some(NegState::AcceptCompleted),
        mic: mic.as_deref(),
        ..NegTokenResp::default()
    };
    Ok(Step { token_out: answer.encode(), done: Some(session.established()) })
}

fn mechanism_token(resp: NegTokenResp<'_>) -> Result<&[u8], AuthError> {
    resp.response.ok_or(AuthError::UnexpectedToken { what: "SPNEGO without a mechanism token" })
}

/// Takes AUTHENTICATE and the client's mechListMIC, and answers with ours. NTLM first: without a proven secret no field of
/// this token means anything (wire.md 2.13).
fn finish_ntlm(server: ChallengedServer, negotiation: &Negotiation, token: &[u8]) -> Result<Step, AuthError> {
    let resp = client_resp(token)?;
    let mut session = server.authenticate(mechanism_token(resp)?)?;

    let list = &negotiation.mechanism_list;
    let mic = match resp.mic {
        Some(mic) => {
            session.unseal.check_mic(list, mic).map_err(|_| TAMPERED)?;
            Some(session.seal.mic(list).map_err(|_| TAMPERED)?)
        }
        None if negotiation.mic_required => return Err(UNPROVEN),
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
