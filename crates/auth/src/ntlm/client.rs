//! The client's half of NTLMv2 (MS-NLMP 3.1.5.1; wire.md 2.12), as clients of Windows write it.
//!
//! The response names the service that the client means (AV id 9), announces the MIC (6), and carries empty channel bindings
//! (10), because DCE/RPC has none. Where the server sent its time there is no LMv2 response beside it: the time in NTLMv2 is the
//! server's then, and a second response would only help those who guess passwords.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::accounts::Environment;
use crate::context::{Established, PeerIdentity};
use crate::error::AuthError;
use crate::names::AccountName;
use crate::ntlm::av_pairs::{AvPairs, AvPairsBuilder, MIC_PRESENT, id};
use crate::ntlm::crypto::{
    Capitals, Key, Sender, exchange_key, lm_v2_response, message_integrity_code, nt_proof, response_key,
    session_base_key,
};
use crate::ntlm::messages::{Authenticate, AuthenticateParts, Challenge, Flags, Negotiate, NtlmV2Response};
use crate::ntlm::session::{NtlmSeal, NtlmUnseal};
use crate::protection::Level;
use crate::sealing::{Sealer, Unsealer};
use crate::secret::NtHash;

/// The longest list of attributes that a challenge may have, in bytes: with our own it still fits a field.
const LONGEST_LIST: usize = 32 * 1024;
/// The longest service name, in bytes.
const LONGEST_TARGET: usize = 2048;
/// The longest account or domain name, in UTF-16 units: what an acceptor takes.
const LONGEST_NAME: usize = 256;
/// NetBIOS names have no more characters.
const LONGEST_WORKSTATION: usize = 15;

/// The machine of a client: its name, its clock and its random source.
#[derive(Clone)]
pub struct Workstation {
    name: String,
    environment: Arc<dyn Environment>,
}

impl Workstation {
    /// `host` is the machine's host name. NTLM is told its first label, in capitals and cut to 15 characters; it proves nothing,
    /// and servers write it into their records.
    #[must_use]
    pub fn new(host: &str, environment: Arc<dyn Environment>) -> Self {
        let label = host.split('.').next().unwrap_or_default();
        Self { name: label.to_uppercase().chars().take(LONGEST_WORKSTATION).collect(), environment }
    }
}

impl fmt::Debug for Workstation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workstation({})", self.name.escape_debug())
    }
}

/// A client that has not said anything yet.
pub(crate) struct NtlmClient {
    account: AccountName,
    hash: NtHash,
    target: String,
    level: Level,
    workstation: Workstation,
}

impl NtlmClient {
    /// # Errors
    /// [`AuthError::InvalidInput`] for names that cannot be written, and for the hash of the empty password.
    pub(crate) fn new(
        account: &AccountName,
        hash: NtHash,
        target: &str,
        level: Level,
        workstation: &Workstation,
    ) -> Result<Self, AuthError> {
        let is_long = |name: &str| LONGEST_NAME < name.encode_utf16().count();
        let (domain, user) = (account.domain(), account.user());
        if user.is_empty()
            || user.contains('\\')
            || domain.contains(['\\', '@'])
            || is_long(user)
            || is_long(domain)
        {
            return Err(AuthError::InvalidInput {
                what: "account name",
                remedy: "give it as DOMAIN\\user, user@realm or user",
            });
        }
        if hash.is_of_empty_password() {
            return Err(AuthError::InvalidInput {
                what: "empty password",
                remedy: "give the account a password",
            });
        }
        if target.is_empty() || LONGEST_TARGET < target.len() {
            return Err(AuthError::InvalidInput {
                what: "service name",
                remedy: "give 1 to 2048 bytes, such as HOST/ca01.corp.example",
            });
        }
        let (account, target) = (account.clone(), target.to_owned());
        Ok(Self { account, hash, target, level, workstation: workstation.clone() })
    }

    /// What the client offers: all that is required, and the names that a server gives of itself.
    fn offered(&self) -> Flags {
        let seal = if self.level == Level::Privacy { Flags::SEAL } else { Flags(0) };
        Flags::UNICODE
            | Flags::REQUEST_TARGET
            | Flags::SIGN
            | seal
            | Flags::NTLM
            | Flags::ALWAYS_SIGN
            | Flags::EXTENDED_SESSION_SECURITY
            | Flags::VERSION
            | Flags::KEY_128
            | Flags::KEY_EXCHANGE
            | Flags::KEY_56
    }

    /// The first message.
    pub(crate) fn negotiate(&self) -> Vec<u8> {
        Negotiate { flags: self.offered() }.encode()
    }

    /// Takes the challenge, gives AUTHENTICATE and the halves of the session.
    ///
    /// # Errors
    /// [`AuthError::WeakNegotiation`] for a challenge that leads to a weak session, [`AuthError::Malformed`],
    /// [`AuthError::NoRandomness`].
    pub(crate) fn authenticate(self, negotiate: &[u8], challenge: &[u8]) -> Result<ClientSession, AuthError> {
        let sent = Challenge::parse(challenge)?;
        sent.flags.require(self.level == Level::Privacy)?;
        if !sent.flags.contains(Flags::TARGET_INFO) {
            return Err(AuthError::WeakNegotiation { missing: "NTLMv2" });
        }
        let time = AvPairs::parse(sent.target_info)?.timestamp();
        let random = |bytes: &mut [u8]| self.workstation.environment.fill_random(bytes);
        let mut client_challenge = [0; 8];
        random(&mut client_challenge)?;
        let mut exported = Key([0; 16]);
        random(&mut exported.0)?;

        let moment = time.unwrap_or_else(|| self.workstation.environment.now().to_bits().to_le_bytes());
        let temp = NtlmV2Response::temp(moment, client_challenge, &self.attributes(&sent)?);
        let (user, domain) = (self.account.user(), self.account.domain());
        let key = response_key(&self.hash, user, domain, Capitals::Simple);
        let proof = nt_proof(&key, &sent.server_challenge, &temp);
        let nt_response = Zeroizing::new([&proof.0[..], &temp].concat());
        let lm_response = match time {
            Some(_) => Zeroizing::new([0; 24]),
            None => lm_v2_response(&key, &sent.server_challenge, &client_challenge),
        };
        let encrypted = exchange_key(&session_base_key(&key, &proof.0), &exported.0);
        let mut token = AuthenticateParts {
            flags: (self.offered() & sent.flags) | Flags::TARGET_INFO | Flags::VERSION,
            lm_response: &lm_response[..],
            nt_response: &nt_response,
            domain,
            user,
            workstation: &self.workstation.name,
            encrypted_session_key: &encrypted.0,
        }
        .encode();
        let mic = message_integrity_code(&exported, &[negotiate, challenge, &token]);
        token.get_mut(Authenticate::MIC).unwrap_or_default().copy_from_slice(&mic.0);
        Ok(ClientSession {
            authenticate: token,
            seal: NtlmSeal::new(&exported, Sender::Client, self.level),
            unseal: NtlmUnseal::new(&exported, Sender::Server, self.level),
            target: self.target,
        })
    }

    /// The server's attributes as they came, then ours in the order of Windows: flags, channel bindings, target. What a server
    /// writes in the place of ours is left out: the target is the client's to name.
    fn attributes(&self, sent: &Challenge<'_>) -> Result<Vec<u8>, AuthError> {
        if LONGEST_LIST < sent.target_info.len() {
            return Err(AuthError::Malformed { what: "NTLM attribute list" });
        }
        let ours = [id::FLAGS, id::CHANNEL_BINDINGS, id::TARGET_NAME];
        let pairs = AvPairs::parse(sent.target_info)?;
        let kept = pairs.iter().filter(|(attribute, _)| !ours.contains(attribute));
        Ok(kept
            .fold(AvPairsBuilder::new(), |list, (attribute, value)| list.bytes(attribute, value))
            .bytes(id::FLAGS, &(pairs.flags() | MIC_PRESENT).to_le_bytes())
            .bytes(id::CHANNEL_BINDINGS, &[0; 16])
            .text(id::TARGET_NAME, &self.target)
            .finish())
    }
}

/// The last message of a client, and its halves of the session, which have not sent anything yet.
pub(crate) struct ClientSession {
    pub(crate) authenticate: Vec<u8>,
    pub(crate) seal: NtlmSeal,
    pub(crate) unseal: NtlmUnseal,
    /// The service that was asked for.
    target: String,
}

impl ClientSession {
    /// The context of the finished exchange. NTLM proves no name of the server.
    pub(crate) fn established(self) -> Established {
        Established {
            sealer: Sealer::ntlm(self.seal),
            unsealer: Unsealer::ntlm(self.unseal),
            peer: PeerIdentity::Service { name: self.target, mutual: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use certadm_rules::FileTime;

    use super::*;
    use crate::testing::{hex, vector_a};

    /// The random octets and the time of MS-NLMP 4.2.1: what is asked for first is the client's challenge, aa*8, then the key,
    /// 55*16.
    struct Published;

    impl Environment for Published {
        fn now(&self) -> FileTime {
            FileTime(0)
        }

        fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
            bytes.fill(if bytes.len() == 8 { 0xaa } else { 0x55 });
            Ok(())
        }
    }

    fn client(target: &str) -> Result<NtlmClient, AuthError> {
        let workstation = Workstation::new("computer.example", Arc::new(Published));
        let account = AccountName::new("Domain", "User");
        NtlmClient::new(&account, NtHash::from_password("Password"), target, Level::Privacy, &workstation)
    }

    fn challenge(list: &[u8]) -> Vec<u8> {
        Challenge {
            flags: Flags(0xe28a_8233),
            server_challenge: vector_a::SERVER_CHALLENGE,
            target_name: &[],
            target_info: list,
        }
        .encode()
    }

    /// MS-NLMP 4.2.4 but for what its client leaves out: MIC, flags, channel bindings and target.
    #[test]
    fn the_published_exchange() {
        let client = client("HOST/ca1").unwrap();
        let negotiate = client.negotiate();
        assert_eq!(Negotiate::parse(&negotiate).unwrap().flags, Flags(0xe208_8235));
        let session = client.authenticate(&negotiate, &hex(vector_a::CHALLENGE)).unwrap();
        let message = Authenticate::parse(&session.authenticate).unwrap();
        assert_eq!(
            (message.domain.as_str(), message.user.as_str(), message.workstation.as_str()),
            ("Domain", "User", "COMPUTER")
        );
        assert_eq!(message.flags, Flags(0xe288_8231));
        // Without a time of the server there is the LMv2 response of the document.
        let lm = Authenticate::lm_response(&session.authenticate).unwrap();
        assert_eq!(session.authenticate[lm], hex("86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa"));
        let response = NtlmV2Response::parse(message.nt_response).unwrap();
        assert_eq!(response.temp[..28], hex(vector_a::TEMP)[..28]);
        let attributes: Vec<u16> = response.pairs.iter().map(|(attribute, _)| attribute).collect();
        assert_eq!(attributes, [2, 1, 6, 10, 9]);
        assert!(response.pairs.announces_mic());
        assert_eq!(response.pairs.target_name().as_deref(), Some("HOST/ca1"));
    }

    #[test]
    fn the_target_is_the_clients_and_the_servers_attributes_stay() {
        let list = AvPairsBuilder::new()
            .text(id::TARGET_NAME, "HOST/other")
            .bytes(id::FLAGS, &1_u32.to_le_bytes())
            .text(id::NETBIOS_COMPUTER, "CA1")
            .bytes(id::TIMESTAMP, &[1; 8])
            .finish();
        let client = client("HOST/ca1").unwrap();
        let negotiate = client.negotiate();
        let session = client.authenticate(&negotiate, &challenge(&list)).unwrap();
        let message = Authenticate::parse(&session.authenticate).unwrap();
        let response = NtlmV2Response::parse(message.nt_response).unwrap();
        let pairs: Vec<_> = response.pairs.iter().collect();
        assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), [1, 7, 6, 10, 9]);
        assert_eq!((pairs[2].1, pairs[3].1), (&3_u32.to_le_bytes()[..], &[0; 16][..]));
        assert_eq!(response.pairs.target_name().as_deref(), Some("HOST/ca1"));
        // The time is the server's, and there is no LMv2 response beside it.
        assert_eq!(response.temp[8..16], [1; 8]);
        let lm = Authenticate::lm_response(&session.authenticate).unwrap();
        assert_eq!(session.authenticate[lm], [0; 24]);
    }

    #[test]
    fn lists_and_targets_of_any_length_are_answered() {
        let long = AvPairsBuilder::new().bytes(id::NETBIOS_COMPUTER, &vec![0; 40_000]).finish();
        assert!(client("HOST/ca1").unwrap().authenticate(&[], &challenge(&long)).is_err());
        let some = AvPairsBuilder::new().bytes(id::NETBIOS_COMPUTER, &vec![0; 30_000]).finish();
        assert!(client(&"x".repeat(LONGEST_TARGET)).unwrap().authenticate(&[], &challenge(&some)).is_ok());
        assert!(client(&"x".repeat(LONGEST_TARGET + 1)).is_err());
        assert!(client("").is_err());
    }

    #[test]
    fn a_workstation_is_a_netbios_name() {
        let name = |host| Workstation::new(host, Arc::new(Published)).name;
        assert_eq!(name("backup-server-of-the-ca.corp.example"), "BACKUP-SERVER-O");
        assert_eq!(format!("{:?}", Workstation::new("a\n", Arc::new(Published))), "Workstation(A\\n)");
    }
}
