//! The client's half of SPNEGO that carries NTLM: four legs, a mechListMIC both ways (MS-SPNG 3.2.5.1; wire.md 2.13).

use std::fmt;

use certadm_rules::AuthType;

use crate::context::{Established, Initiator, LastLeg, Step};
use crate::error::AuthError;
use crate::ntlm::client::{ClientSession, NtlmClient};
use crate::spnego::token::{NegState, NegTokenResp, encode_init, mechanism_list, oid};

pub(crate) struct SpnegoInitiator {
    stage: Stage,
}

/// Where a handshake stands.
enum Stage {
    /// Nothing sent.
    Fresh(NtlmClient),
    /// The first token is out, with this NEGOTIATE; a challenge is due.
    Greeted(NtlmClient, Vec<u8>),
    /// The answer is out, the server's mechListMIC is due.
    Answered(Box<ClientSession>),
    /// Completed or failed.
    Finished,
}

const TAMPERED: AuthError = AuthError::Tampered { what: "SPNEGO mechListMIC" };

impl SpnegoInitiator {
    pub(crate) fn new(client: NtlmClient) -> Self {
        Self { stage: Stage::Fresh(client) }
    }
}

impl Initiator for SpnegoInitiator {
    fn auth_type(&self) -> AuthType {
        AuthType::SPNEGO
    }

    fn last_leg(&self) -> LastLeg {
        LastLeg::AlterContext
    }

    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError> {
        match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Fresh(client) => {
                let negotiate = client.negotiate();
                let init = encode_init(&offered(), &negotiate);
                self.stage = Stage::Greeted(client, negotiate);
                Ok(Step::next(init))
            }
            Stage::Greeted(client, negotiate) => {
                let mut session = client.authenticate(&negotiate, challenge_in(token_in)?)?;
                let mic = session.seal.mic(&offered()).map_err(|_| TAMPERED)?;
                let resp = NegTokenResp {
                    state: Some(NegState::AcceptIncomplete),
                    response: Some(&session.authenticate),
                    mic: Some(&mic),
                    ..NegTokenResp::default()
                };
                let token_out = resp.encode();
                self.stage = Stage::Answered(Box::new(session));
                Ok(Step::next(token_out))
            }
            Stage::Answered(session) => {
                Ok(Step { token_out: Vec::new(), done: Some(completed(*session, token_in)?) })
            }
            Stage::Finished => Err(AuthError::Finished),
        }
    }
}

/// The mechanisms that are offered: NTLM alone.
fn offered() -> Vec<u8> {
    mechanism_list(&[oid::NTLM])
}

/// The server's challenge; anything else at this point is refused, an early `completed` above all.
fn challenge_in(token: &[u8]) -> Result<&[u8], AuthError> {
    let resp = NegTokenResp::parse(token)?;
    match resp.state {
        Some(NegState::Reject) => return Err(AuthError::RejectedByPeer),
        Some(NegState::AcceptCompleted) => {
            return Err(AuthError::UnexpectedToken {
                what: "SPNEGO completed before the client has answered",
            });
        }
        None | Some(NegState::AcceptIncomplete | NegState::RequestMic) => {}
    }
    if resp.mechanism.is_some_and(|mechanism| mechanism != oid::NTLM) {
        return Err(AuthError::UnexpectedToken { what: "SPNEGO with a mechanism that was not offered" });
    }
    if resp.mic.is_some() {
        return Err(AuthError::UnexpectedToken { what: "SPNEGO mechListMIC before the client has answered" });
    }
    resp.response.ok_or(AuthError::UnexpectedToken { what: "SPNEGO without a challenge" })
}

/// Takes the server's last word. Its state may be left out (RFC 4178 4.2.2): it is the MIC that proves that both sides are done.
fn completed(mut session: ClientSession, token: &[u8]) -> Result<Established, AuthError> {
    let resp = NegTokenResp::parse(token)?;
    match (resp.state, resp.mic) {
        (Some(NegState::Reject), _) => Err(AuthError::RejectedByPeer),
        (None | Some(NegState::AcceptCompleted), Some(mic)) => {
            session.unseal.check_mic(&offered(), mic).map_err(|_| TAMPERED)?;
            Ok(session.established())
        }
        (None | Some(NegState::AcceptCompleted), None) => {
            Err(AuthError::Tampered { what: "SPNEGO mechListMIC missing" })
        }
        _ => Err(AuthError::UnexpectedToken { what: "SPNEGO not completed" }),
    }
}

impl fmt::Debug for SpnegoInitiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpnegoInitiator").finish_non_exhaustive()
    }
}
