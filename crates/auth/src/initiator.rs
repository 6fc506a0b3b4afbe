//! The client's half: `sspi` does the handshake, our parsers look at every token of the server before it does, and our own
//! session security takes over with the key that comes out.
//!
//! Why not sspi's `encrypt_message`: it copies header, body and trailer for every PDU, and its one context object cannot be
//! cut into a sending and a receiving half without a lock. For NTLM the exported session key determines both halves, and
//! sspi hands it out, so [`Sealer`] and [`Unsealer`] are the same as on the server. sspi's own sealing judges ours in the
//! tests.
//!
//! AUTHENTICATE is sspi's but for two things, which `ntlm/target.rs` puts right: it names the service, and it has no LMv2
//! response beside the server's time.
//!
//! sspi is given the NT hash, never the password: NTLM needs no more, and a password could otherwise be mistaken for sspi's
//! way of writing a hash.

use std::fmt;

use sspi::ntlm::NtlmConfig;
use sspi::{
    AuthIdentity, BufferType, ClientRequestFlags, CredentialUse, CredentialsBuffers, DataRepresentation,
    Negotiate, NegotiateConfig, Ntlm, SecurityBuffer, SecurityStatus, Sspi, SspiImpl, Username,
};
use zeroize::Zeroizing;

use certadm_rules::AuthType;

use crate::context::{Established, Initiator, LastLeg, PeerIdentity, Step};
use crate::error::AuthError;
use crate::names::AccountName;
use crate::ntlm::av_pairs::AvPairs;
use crate::ntlm::crypto::{Key, Sender};
use crate::ntlm::messages::{Challenge, Flags};
use crate::ntlm::session::{NtlmSeal, NtlmUnseal};
use crate::ntlm::target::{Travelled, challenge_with_target, check_target, finished};
use crate::protection::Level;
use crate::sealing::{Sealer, Unsealer};
use crate::secret::NtHash;
use crate::spnego::token::{NegState, NegTokenInit, NegTokenResp};

/// A password. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password over. The caller's own copies are the caller's to wipe.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// The secret text, for whoever makes keys of it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Who logs on.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The account. Without a domain a user of the form `name@realm` is sent as it is.
    pub account: AccountName,
    /// Its password.
    pub password: Password,
}

/// The mechanism and the auth_type it is announced under (wire.md 2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavour {
    /// Raw NTLM, auth_type 10.
    Ntlm,
    /// Raw NTLM under auth_type 9, as Windows sends it where NTLM is its only choice.
    NtlmAsNegotiate,
    /// SPNEGO carrying NTLM, auth_type 9.
    Spnego,
}

/// Starts a client's handshake.
///
/// `target` is the service name (`RPCSS/host`, `HOST/host`; wire.md 1.5). At [`Level::Privacy`] a server that does not
/// negotiate sealing is refused.
///
/// # Errors
/// [`AuthError::InvalidInput`] for an account that cannot be written as a logon name, an empty password, or a service name
/// that is empty or too long;
/// [`AuthError::Library`] if sspi cannot be set up.
pub fn initiator(
    flavour: Flavour,
    credentials: &Credentials,
    target: &str,
    level: Level,
) -> Result<Box<dyn Initiator>, AuthError> {
    check_target(target)?;
    let identity = identity(credentials)?;
    Ok(match flavour {
        Flavour::Ntlm => Box::new(NtlmInitiator::new(AuthType::NTLM, &identity, target, level)?),
        Flavour::NtlmAsNegotiate => Box::new(NtlmInitiator::new(AuthType::SPNEGO, &identity, target, level)?),
        Flavour::Spnego => Box::new(SpnegoInitiator::new(&identity, target, level)?),
    })
}

fn identity(credentials: &Credentials) -> Result<AuthIdentity, AuthError> {
    let account = &credentials.account;
    let unusable = AuthError::InvalidInput {
        what: "account name",
        remedy: "give it as DOMAIN\\user, user@realm or user",
    };
    if account.user().is_empty() {
        return Err(unusable);
    }
    if credentials.password.0.is_empty() {
        return Err(AuthError::InvalidInput {
            what: "empty password",
            remedy: "give the account a password",
        });
    }
    let username = if account.domain().is_empty() {
        Username::parse(account.user())
    } else {
        Username::new_down_level_logon_name(account.user(), account.domain())
    }
    .map_err(|_| unusable)?;

    let hash = NtHash::from_password(&credentials.password.0);
    let mut secret = String::with_capacity(sspi::NTLM_HASH_PREFIX.len() + 32);
    secret.push_str(sspi::NTLM_HASH_PREFIX);
    for byte in hash.expose() {
        for digit in [byte >> 4, byte & 15] {
            secret.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    Ok(AuthIdentity { username, password: secret.into() })
}

/// Where a handshake stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Nothing sent.
    Fresh,
    /// The first token is out, with this NEGOTIATE; a challenge is due.
    Greeted(Vec<u8>),
    /// The answer is out, the server's last word is due (SPNEGO).
    Answered,
    /// Completed or failed.
    Finished,
}

/// One sspi package with its credentials.
struct Library<P: SspiImpl> {
    package: P,
    credentials: P::CredentialsHandle,
    target: String,
}

impl<P: Sspi + SspiImpl> Library<P> {
    fn step(&mut self, token_in: Vec<u8>) -> Result<(SecurityStatus, Vec<u8>), AuthError> {
        let failed =
            |error: sspi::Error| AuthError::Library { during: "the handshake", detail: error.to_string() };
        let mut input = [SecurityBuffer::new(token_in, BufferType::Token)];
        let mut output = [SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let mut builder = self
            .package
            .initialize_security_context()
            .with_credentials_handle(&mut self.credentials)
            .with_context_requirements(
                ClientRequestFlags::USE_DCE_STYLE
                    | ClientRequestFlags::CONFIDENTIALITY
                    | ClientRequestFlags::INTEGRITY
                    | ClientRequestFlags::REPLAY_DETECT
                    | ClientRequestFlags::SEQUENCE_DETECT,
            )
            .with_target_data_representation(DataRepresentation::Native)
            .with_target_name(&self.target)
            .with_input(&mut input)
            .with_output(&mut output);
        let status = self
            .package
            .initialize_security_context_impl(&mut builder)
            .map_err(failed)?
            .resolve_to_result()
            .map_err(failed)?
            .status;
        let [token] = output;
        Ok((status, token.buffer))
    }

    /// The exported session key of the finished context.
    fn exported(&self) -> Result<Key, AuthError> {
        let failed = |detail: String| AuthError::Library { during: "taking the session key", detail };
        let keys = self.package.query_context_session_key().map_err(|error| failed(error.to_string()))?;
        let key: [u8; 16] =
            keys.session_key.as_ref().as_slice().try_into().map_err(|_| failed("not 16 bytes".to_owned()))?;
        Ok(Key(key))
    }

    /// The halves of the finished context.
    fn session(&self, level: Level) -> Result<(NtlmSeal, NtlmUnseal), AuthError> {
        let exported = self.exported()?;
        Ok((
            NtlmSeal::new(&exported, Sender::Client, level),
            NtlmUnseal::new(&exported, Sender::Server, level),
        ))
    }

    fn established(&self, (seal, unseal): (NtlmSeal, NtlmUnseal)) -> Established {
        Established {
            sealer: Sealer::ntlm(seal),
            unsealer: Unsealer::ntlm(unseal),
            peer: PeerIdentity::Service { name: self.target.clone(), mutual: false },
        }
    }
}

/// Refuses a challenge that sspi would accept but that leads to a weak session.
fn check_challenge(token: &[u8], level: Level) -> Result<(), AuthError> {
    let challenge = Challenge::parse(token)?;
    challenge.flags.require(level == Level::Privacy)?;
    if !challenge.flags.contains(Flags::TARGET_INFO) {
        return Err(AuthError::WeakNegotiation { missing: "NTLMv2" });
    }
    AvPairs::parse(challenge.target_info)?;
    Ok(())
}

/// Raw NTLM: three legs, the last in auth3.
struct NtlmInitiator {
    auth_type: AuthType,
    level: Level,
    stage: Stage,
    library: Library<Ntlm>,
}

impl NtlmInitiator {
    fn new(
        auth_type: AuthType,
        identity: &AuthIdentity,
        target: &str,
        level: Level,
    ) -> Result<Self, AuthError> {
        let mut package = Ntlm::with_config(NtlmConfig::default());
        let credentials = package
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(identity)
            .execute(&mut package)
            .map_err(setup_failed)?
            .credentials_handle;
        Ok(Self {
            auth_type,
            level,
            stage: Stage::Fresh,
            library: Library { package, credentials, target: target.to_owned() },
        })
    }
}

impl Initiator for NtlmInitiator {
    fn auth_type(&self) -> AuthType {
        self.auth_type
    }

    fn last_leg(&self) -> LastLeg {
        LastLeg::Auth3
    }

    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError> {
        match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Fresh => {
                let (_, negotiate) = self.library.step(Vec::new())?;
                self.stage = Stage::Greeted(negotiate.clone());
                Ok(Step::next(negotiate))
            }
            Stage::Greeted(negotiate) => {
                check_challenge(token_in, self.level)?;
                let (_, answer) =
                    self.library.step(challenge_with_target(token_in, &self.library.target)?)?;
                let travelled = Travelled { negotiate: &negotiate, challenge: token_in };
                let authenticate = finished(answer, &travelled, &self.library.exported()?)?;
                let session = self.library.session(self.level)?;
                Ok(Step { token_out: authenticate, done: Some(self.library.established(session)) })
            }
            Stage::Answered | Stage::Finished => Err(AuthError::Finished),
        }
    }
}

impl fmt::Debug for NtlmInitiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NtlmInitiator").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// SPNEGO carrying NTLM: four legs, mechListMIC both ways.
struct SpnegoInitiator {
    level: Level,
    stage: Stage,
    library: Library<Negotiate>,
}

impl SpnegoInitiator {
    fn new(identity: &AuthIdentity, target: &str, level: Level) -> Result<Self, AuthError> {
        let config = NegotiateConfig::new(
            Box::new(NtlmConfig::default()),
            Some("ntlm,!kerberos,!pku2u".to_owned()),
            String::new(),
        );
        let mut package = Negotiate::new_client(config).map_err(setup_failed)?;
        let auth_data = sspi::Credentials::AuthIdentity(identity.clone());
        let credentials: Option<CredentialsBuffers> = package
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(&auth_data)
            .execute(&mut package)
            .map_err(setup_failed)?
            .credentials_handle;
        Ok(Self {
            level,
            stage: Stage::Fresh,
            library: Library { package, credentials, target: target.to_owned() },
        })
    }

    /// The server's challenge; anything else at this point is refused, an early `completed` above all.
    fn check_answer<'t>(&self, token: &'t [u8]) -> Result<NegTokenResp<'t>, AuthError> {
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
        if resp.mic.is_some() {
            return Err(AuthError::UnexpectedToken {
                what: "SPNEGO mechListMIC before the client has answered",
            });
        }
        let challenge =
            resp.response.ok_or(AuthError::UnexpectedToken { what: "SPNEGO without a challenge" })?;
        check_challenge(challenge, self.level)?;
        Ok(resp)
    }

    /// The server's last word, as the library wants it: completed, with its mechListMIC. The state may be left out (RFC
    /// 4178 4.2.2): it is the MIC that proves that both sides are done.
    fn completion(token: &[u8]) -> Result<Vec<u8>, AuthError> {
        let resp = NegTokenResp::parse(token)?;
        match (resp.state, resp.mic) {
            (Some(NegState::Reject), _) => Err(AuthError::RejectedByPeer),
            (Some(NegState::AcceptCompleted), Some(_)) => Ok(token.to_vec()),
            (None, Some(_)) => Ok(NegTokenResp { state: Some(NegState::AcceptCompleted), ..resp }.encode()),
            (None | Some(NegState::AcceptCompleted), None) => {
                Err(AuthError::Tampered { what: "SPNEGO mechListMIC missing" })
            }
            _ => Err(AuthError::UnexpectedToken { what: "SPNEGO not completed" }),
        }
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
            Stage::Fresh => {
                let (_, init) = self.library.step(Vec::new())?;
                let negotiate = NegTokenInit::parse(&init)?.mech_token.map(<[u8]>::to_vec);
                self.stage = Stage::Greeted(negotiate.ok_or_else(|| unexpected("no NEGOTIATE"))?);
                Ok(Step::next(init))
            }
            Stage::Greeted(negotiate) => {
                let resp = self.check_answer(token_in)?;
                let challenge = resp.response.unwrap_or_default();
                let shown = challenge_with_target(challenge, &self.library.target)?;
                let (_, answer) =
                    self.library.step(NegTokenResp { response: Some(&shown), ..resp }.encode())?;
                let answer = NegTokenResp::parse(&answer)?;
                let authenticate = answer.response.ok_or_else(|| unexpected("no AUTHENTICATE"))?.to_vec();
                let travelled = Travelled { negotiate: &negotiate, challenge };
                let authenticate = finished(authenticate, &travelled, &self.library.exported()?)?;
                self.stage = Stage::Answered;
                Ok(Step::next(NegTokenResp { response: Some(&authenticate), ..answer }.encode()))
            }
            Stage::Answered => {
                let (status, _) = self.library.step(Self::completion(token_in)?)?;
                if status != SecurityStatus::Ok {
                    return Err(AuthError::UnexpectedToken { what: "SPNEGO not completed" });
                }
                // sspi has sent one MIC and checked one: both directions have used their first sequence number
                let (mut seal, mut unseal) = self.library.session(self.level)?;
                seal.skip_mic();
                unseal.skip_mic();
                Ok(Step { token_out: Vec::new(), done: Some(self.library.established((seal, unseal))) })
            }
            Stage::Finished => Err(AuthError::Finished),
        }
    }
}

impl fmt::Debug for SpnegoInitiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpnegoInitiator").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// sspi went on in another way than NTLM's.
fn unexpected(detail: &str) -> AuthError {
    AuthError::Library { during: "the handshake", detail: detail.to_owned() }
}

fn setup_failed(error: sspi::Error) -> AuthError {
    AuthError::Library { during: "set-up", detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_password_nor_hash_is_printed() {
        let credentials = Credentials {
            account: AccountName::new("CORP", "alice"),
            password: Password::new("hunter2-marker".to_owned()),
        };
        let mut shown = format!("{credentials:?}");
        for flavour in [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego] {
            let mut initiator = initiator(flavour, &credentials, "HOST/ca", Level::Privacy).unwrap();
            shown.push_str(&format!("{:?}", initiator.step(&[]).unwrap()));
            shown.push_str(&format!("{initiator:?}"));
            shown.push_str(&format!("{:?}", initiator.step(&[1, 2, 3])));
        }
        assert!(!shown.contains("hunter2"));
        let hash = NtHash::from_password("hunter2-marker");
        let hex: String = hash.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.contains(&hex));
        assert!(shown.contains("alice"));
    }

    #[test]
    fn unusable_accounts_are_refused() {
        for (domain, user, password) in
            [("CORP", "", "x"), ("CORP", "a\\b", "x"), ("a@b", "c", "x"), ("", "a", "")]
        {
            let credentials = Credentials {
                account: AccountName::new(domain, user),
                password: Password::new(password.to_owned()),
            };
            assert!(matches!(
                initiator(Flavour::Ntlm, &credentials, "HOST/ca", Level::Privacy),
                Err(AuthError::InvalidInput { .. })
            ));
        }
    }
}
