//! The server's half of NTLMv2 (MS-NLMP 3.2.5.1; wire.md 2.12).
//!
//! NTProofStr is checked always, the MIC whenever the client announces one, and the attributes of our challenge must come
//! back unaltered in the client's response, which the proof covers: who strips the timestamp from a challenge to talk
//! a client out of its MIC is found out by that.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::context::{Acceptor, Established, PeerIdentity, Step};
use crate::error::AuthError;
use crate::names::AccountName;
use crate::ntlm::av_pairs::{AvPairs, AvPairsBuilder, id};
use crate::ntlm::crypto::{
    Capitals, Key, Sender, exchange_key, message_integrity_code, nt_proof, response_key, session_base_key,
};
use crate::ntlm::messages::{Authenticate, Challenge, Flags, Negotiate, NtlmV2Response};
use crate::ntlm::session::{NtlmSeal, NtlmUnseal};
use crate::protection::Level;
use crate::sealing::{Sealer, Unsealer};
use crate::secret::NtHash;
use crate::server::Server;
use crate::text::utf16_bytes;

/// Raw NTLM in three legs (auth type 10, and raw NTLM under auth type 9).
pub(crate) struct RawNtlmAcceptor {
    state: State,
}

enum State {
    Fresh(NtlmServer),
    Challenged(ChallengedServer),
    Finished,
}

impl RawNtlmAcceptor {
    pub(crate) fn new(server: Server, level: Level) -> Self {
        Self { state: State::Fresh(NtlmServer::new(server, level)) }
    }
}

impl Acceptor for RawNtlmAcceptor {
    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError> {
        match std::mem::replace(&mut self.state, State::Finished) {
            State::Fresh(server) => {
                let (server, challenge) = server.challenge(token_in)?;
                self.state = State::Challenged(server);
                Ok(Step::next(challenge))
            }
            State::Challenged(server) => {
                Ok(Step { token_out: Vec::new(), done: Some(server.authenticate(token_in)?.established()) })
            }
            State::Finished => Err(AuthError::Finished),
        }
    }

    fn claimed(&self, token_in: &[u8]) -> Option<AccountName> {
        match self.state {
            State::Challenged(_) => claimed(token_in),
            State::Fresh(_) | State::Finished => None,
        }
    }
}

/// The account of an AUTHENTICATE.
pub(crate) fn claimed(authenticate: &[u8]) -> Option<AccountName> {
    let message = Authenticate::parse(authenticate).ok()?;
    Some(AccountName::new(message.domain, message.user))
}

impl fmt::Debug for RawNtlmAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawNtlmAcceptor").finish_non_exhaustive()
    }
}

/// A server that waits for NEGOTIATE.
pub(crate) struct NtlmServer {
    server: Server,
    level: Level,
}

impl NtlmServer {
    pub(crate) fn new(server: Server, level: Level) -> Self {
        Self { server, level }
    }

    /// Takes NEGOTIATE, gives CHALLENGE.
    pub(crate) fn challenge(self, negotiate: &[u8]) -> Result<(ChallengedServer, Vec<u8>), AuthError> {
        let offered = Negotiate::parse(negotiate)?.flags;
        let seal = self.level == Level::Privacy;
        offered.require(seal)?;

        let mut server_challenge = [0; 8];
        self.server.environment.fill_random(&mut server_challenge)?;
        let target_info = self.target_info();
        let names = &self.server.names;
        let target_name = if offered.contains(Flags::REQUEST_TARGET) {
            utf16_bytes(&names.netbios_computer)
        } else {
            Vec::new()
        };
        let challenge = Challenge {
            flags: chosen_flags(offered),
            server_challenge,
            target_name: &target_name,
            target_info: &target_info,
        }
        .encode();

        let server = ChallengedServer {
            server: self.server,
            level: self.level,
            server_challenge,
            target_info,
            negotiate: negotiate.to_vec(),
            challenge: challenge.clone(),
        };
        Ok((server, challenge))
    }

    /// Names, then the time, which makes clients add a MIC. No flags attribute: Windows DCE/RPC clients are reported to
    /// compute a MIC that never matches when an empty one is sent.
    fn target_info(&self) -> Vec<u8> {
        let names = &self.server.names;
        let mut pairs = AvPairsBuilder::new()
            .text(id::NETBIOS_DOMAIN, &names.netbios_domain)
            .text(id::NETBIOS_COMPUTER, &names.netbios_computer);
        if let Some(dns_computer) = &names.dns_computer {
            pairs = pairs.text(id::DNS_COMPUTER, dns_computer);
            if let Some((_, dns_domain)) = dns_computer.split_once('.')
                && !dns_domain.is_empty()
            {
                pairs = pairs.text(id::DNS_DOMAIN, dns_domain);
            }
        }
        pairs.bytes(id::TIMESTAMP, &self.server.environment.now().to_bits().to_le_bytes()).finish()
    }
}

/// What the challenge says: everything required, and of the rest only what the client offered and makes sense. Nothing is
/// echoed unseen.
fn chosen_flags(offered: Flags) -> Flags {
    let required = Flags::UNICODE
        | Flags::NTLM
        | Flags::SIGN
        | Flags::EXTENDED_SESSION_SECURITY
        | Flags::KEY_128
        | Flags::KEY_EXCHANGE;
    let optional = Flags::SEAL | Flags::REQUEST_TARGET | Flags::ALWAYS_SIGN | Flags::KEY_56;
    required | (offered & optional) | Flags::TARGET_TYPE_SERVER | Flags::TARGET_INFO | Flags::VERSION
}

/// A server that waits for AUTHENTICATE.
pub(crate) struct ChallengedServer {
    server: Server,
    level: Level,
    server_challenge: [u8; 8],
    target_info: Vec<u8>,
    negotiate: Vec<u8>,
    challenge: Vec<u8>,
}

impl ChallengedServer {
    /// Takes AUTHENTICATE and checks it. An unknown account costs the same work as a wrong password and gives the same
    /// error.
    pub(crate) fn authenticate(self, token: &[u8]) -> Result<NtlmSession, AuthError> {
        let message = Authenticate::parse(token)?;
        message.flags.require(self.level == Level::Privacy)?;
        if message.user.is_empty() || message.flags.contains(Flags::ANONYMOUS) {
            return Err(AuthError::Anonymous);
        }
        let response = NtlmV2Response::parse(message.nt_response)?;
        let encrypted_key: [u8; 16] = message
            .encrypted_session_key
            .try_into()
            .map_err(|_| AuthError::Malformed { what: "NTLM session key" })?;
        let mic = if response.pairs.announces_mic() { Some(message.split_at_mic()?) } else { None };

        let (known, response_key) = self.check_proof(&message, &response);
        let session_base = session_base_key(&response_key, &response.proof);
        let exported = exchange_key(&session_base, &encrypted_key);
        let mic_matches = mic.map(|mic| {
            let messages = [&self.negotiate, &self.challenge, mic.before, &[0; 16], mic.after];
            message_integrity_code(&exported, &messages).equals(&mic.mic)
        });

        let account = AccountName::new(message.domain, message.user);
        if !bool::from(known) {
            return Err(AuthError::LogonRefused { account });
        }
        match mic_matches {
            Some(matches) if bool::from(matches) => {}
            Some(_) => {
                return Err(AuthError::Tampered { what: "message integrity code" });
            }
            None if self.server.mic_required => {
                return Err(AuthError::Tampered { what: "message integrity code missing" });
            }
            None => {}
        }
        if !response.pairs.contains_all(AvPairs::parse(&self.target_info)?) {
            return Err(AuthError::Tampered { what: "attributes of the challenge" });
        }

        let target = response.pairs.target_name();
        Ok(NtlmSession {
            seal: NtlmSeal::new(&exported, Sender::Server, self.level),
            unseal: NtlmUnseal::new(&exported, Sender::Client, self.level),
            peer: PeerIdentity::Account { account, workstation: message.workstation, target },
        })
    }

    /// Whether the account exists and its secret made the proof; and the response key, meaningful only then.
    fn check_proof(&self, message: &Authenticate<'_>, response: &NtlmV2Response<'_>) -> (Choice, Key) {
        let stored = self.server.accounts.nt_hash(&message.domain, &message.user);
        let exists = Choice::from(u8::from(stored.is_some()));
        let hash = stored.unwrap_or_else(|| NtHash::from_bytes([0; 16]));
        let has_password = !Choice::from(u8::from(hash.is_of_empty_password()));

        let mut matched = Choice::from(0);
        let mut matching_key = Key([0; 16]);
        for capitals in [Capitals::Simple, Capitals::Full] {
            let key = response_key(&hash, &message.user, &message.domain, capitals);
            let proof = nt_proof(&key, &self.server_challenge, response.temp);
            let matches = proof.0.ct_eq(&response.proof);
            if bool::from(matches) {
                matching_key = key;
            }
            matched |= matches;
        }
        (matched & exists & has_password, matching_key)
    }
}

/// A finished NTLM exchange whose halves have not sent anything yet.
pub(crate) struct NtlmSession {
    pub(crate) seal: NtlmSeal,
    pub(crate) unseal: NtlmUnseal,
    pub(crate) peer: PeerIdentity,
}

impl NtlmSession {
    pub(crate) fn established(self) -> Established {
        Established {
            sealer: Sealer::ntlm(self.seal),
            unsealer: Unsealer::ntlm(self.unseal),
            peer: self.peer,
        }
    }
}
