//! A logon (RFC 4120 3.1, RFC 6806): from a password or keys to a ticket-granting ticket.

use std::fmt;

use zeroize::Zeroizing;

use super::error::{ClientError, Wanted};
use super::question::{Question, Route, Step};
use crate::credential::Credential;
use crate::crypto::{Etype, IntegrityError, Key, KeyUsage, string_to_key};
use crate::environment::{Environment, NoRandomness, random};
use crate::message::{
    EncKdcReplyPart, EncryptedData, ErrorCode, EtypeInfo2, KdcKind, KdcOptions, KdcReply, KdcRequest,
    KrbError, PaData, PaType, RequestBody, Timestamp,
};
use crate::moment::Moment;
use crate::principal::{NameType, Principal};

/// For how long a ticket is asked, in seconds. The KDC gives as much as its policy allows.
pub(super) const LIFETIME: i64 = 10 * 3600;

/// What proves that the account is the client's. Never printed.
pub enum Secret {
    /// Its password.
    Password(Zeroizing<String>),
    /// Its keys, out of a keytab.
    Keys(Vec<Key>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Keys(_) => "Keys(..)",
        })
    }
}

/// A logon that is under way.
#[derive(Debug)]
pub struct Logon {
    client: Principal,
    secret: Secret,
    route: Route,
    clock_offset: i64,
    nonce: u32,
    /// The key of the proof, once the KDC said what it is made of.
    key: Option<Key>,
    was_skewed: bool,
    /// The refusal after which a part of the name was tried as a realm.
    first_refusal: Option<ClientError>,
    kdc_ahead: Option<i64>,
}

/// What a logon leads to.
#[derive(Debug)]
pub struct LoggedOn {
    /// The ticket-granting ticket.
    pub credential: Credential,
    /// By how many seconds the KDC's clock is ahead of this machine's.
    pub clock_offset: i64,
}

impl Logon {
    /// A logon of this account, which begins at the KDC of the realm in its name.
    #[must_use]
    pub fn new(client: Principal, secret: Secret) -> Self {
        let route = Route::from(client.realm());
        Self {
            client,
            secret,
            route,
            clock_offset: 0,
            nonce: 0,
            key: None,
            was_skewed: false,
            first_refusal: None,
            kdc_ahead: None,
        }
    }

    /// The first question. It has no proof yet: the KDC says first what it wants, and what its clock shows.
    ///
    /// # Errors
    /// [`ClientError::NoRandomness`].
    pub fn start(&mut self, environment: &dyn Environment) -> Result<Question, ClientError> {
        self.key = None;
        Ok(self.question(environment)?)
    }

    /// What the KDC of the first realm said, where the account was unknown there and the realm that is asked now is a guess: the
    /// part of its name behind the @.
    #[must_use]
    pub const fn first_refusal(&self) -> Option<&ClientError> {
        self.first_refusal.as_ref()
    }

    /// By how many seconds the KDC's clock is ahead of this machine's, as its last answer shows it; none before one does. A
    /// logon that failed has it, too.
    #[must_use]
    pub const fn kdc_ahead(&self) -> Option<i64> {
        self.kdc_ahead
    }

    /// Takes the answer to the last question.
    ///
    /// # Errors
    /// [`ClientError`]. The logon is over then.
    pub fn answer(
        &mut self,
        answer: &[u8],
        environment: &dyn Environment,
    ) -> Result<Step<LoggedOn>, ClientError> {
        if KrbError::is_one(answer) {
            return self.refusal(KrbError::decode(answer)?, environment).map(Step::Ask);
        }
        let reply = KdcReply::decode(answer, KdcKind::As)?;
        // An account that needs no proof gets its ticket at once.
        let key = match self.key.take().filter(|key| key.etype().to_wire() == reply.enc_part.etype) {
            Some(key) => key,
            None => self.pick_key(&reply.padata, Some(reply.enc_part.etype))?,
        };
        let plain = reply.enc_part.open(&key, KeyUsage::AS_REPLY).map_err(|IntegrityError| {
            ClientError::WrongKey { realm: self.route.realm().to_owned(), client: self.client.clone() }
        })?;
        let part = EncKdcReplyPart::decode(&plain)?;
        if part.nonce != self.nonce {
            return Err(self.other_answer("its nonce is another one"));
        }
        // The KDC may know the realm by another name than the client; its own counts from here on.
        if part.service.granted_realm() != Some(part.service.realm()) {
            return Err(self.other_answer("it is no ticket-granting ticket"));
        }
        // The time at which the KDC gave it.
        self.kdc_ahead = Some(part.auth_time.since(Moment::from(environment.now()).time));
        let credential = Credential::of_answer(reply.client, reply.ticket, part);
        Ok(Step::Done(LoggedOn { credential, clock_offset: self.clock_offset }))
    }

    /// What to do about an error: some of them are questions.
    fn refusal(&mut self, error: KrbError, environment: &dyn Environment) -> Result<Question, ClientError> {
        self.kdc_ahead = Some(error.server_time.time.since(Moment::from(environment.now()).time));
        match error.code {
            ErrorCode::PREAUTH_REQUIRED if self.key.is_none() => {
                self.adopt_clock(&error, environment);
                let padata = PaData::decode_list(error.data.as_deref().unwrap_or_default())?;
                self.check_wanted(&padata)?;
                self.key = Some(self.pick_key(&padata, None)?);
            }
            ErrorCode::SKEW if !self.was_skewed => {
                self.was_skewed = true;
                self.adopt_clock(&error, environment);
            }
            // A KDC of MIT knows no enterprise names; part of it may still be a name of that realm.
            ErrorCode::CLIENT_UNKNOWN
                if self.client.name_type() == NameType::ENTERPRISE
                    && let Some((name, suffix)) = self.client.name().rsplit_once('@') =>
            {
                let (guess, realm) = (name.to_owned(), suffix.to_ascii_uppercase());
                self.first_refusal = Some(self.refused(error));
                self.client = Principal::account(&guess, &realm);
                self.route = Route::from(&realm);
                self.key = None;
            }
            ErrorCode::WRONG_REALM if let Some(realm) = error.client_realm.as_deref() => {
                self.route.refer(realm)?;
                self.key = None;
            }
            _ => return Err(self.refused(error)),
        }
        Ok(self.question(environment)?)
    }

    fn refused(&self, error: KrbError) -> ClientError {
        let (realm, about) = (self.route.realm().to_owned(), self.client.clone());
        ClientError::Refused { realm, about, error: Box::new(error) }
    }

    /// Whether the KDC takes an encrypted timestamp. One that lists no proof at all may.
    fn check_wanted(&self, padata: &[PaData]) -> Result<(), ClientError> {
        let lists = |kind| padata.iter().any(|element| element.kind == kind);
        let wanted = if lists(PaType::ENCRYPTED_TIMESTAMP) {
            return Ok(());
        } else if lists(PaType::FAST) {
            Wanted::Armour
        } else if lists(PaType::CERTIFICATE) || lists(PaType::OLD_CERTIFICATE) {
            Wanted::Certificate
        } else {
            return Ok(());
        };
        let (realm, client) = (self.route.realm().to_owned(), self.client.clone());
        Err(ClientError::OtherProof { realm, client, wanted })
    }

    /// Counts in the KDC's time from now on. Nothing proves that time; it is good for a proof that the KDC will check.
    fn adopt_clock(&mut self, error: &KrbError, environment: &dyn Environment) {
        self.clock_offset = error.server_time.time.since(Moment::from(environment.now()).time);
    }

    /// AS-REQ, with a proof if there is a key.
    fn question(&mut self, environment: &dyn Environment) -> Result<Question, NoRandomness> {
        let now = Moment::from(environment.now()).plus(self.clock_offset);
        let realm = self.route.realm();
        let mut padata = Vec::new();
        if let Some(key) = &self.key {
            let plain = Timestamp(now).encode();
            let proof = EncryptedData::seal(key, KeyUsage::TIMESTAMP, None, &plain, environment)?;
            padata.push(PaData { kind: PaType::ENCRYPTED_TIMESTAMP, value: proof.encode() });
        }
        padata.push(PaData::pac_request());
        self.nonce = u32::from_be_bytes(random(environment)?) >> 1;
        let body = RequestBody {
            options: KdcOptions::CANONICALIZE.and(KdcOptions::RENEWABLE_OK),
            client: Some(self.client.clone()),
            service: Principal::ticket_granting(realm, realm),
            till: now.time.plus(LIFETIME),
            nonce: self.nonce,
            etypes: self.etypes(),
        };
        let message = KdcRequest { kind: KdcKind::As, padata, body: body.encode() }.encode();
        Ok(Question { realm: realm.to_owned(), message })
    }

    /// The etypes for which there is a key.
    fn etypes(&self) -> Vec<i32> {
        let has_key = |etype: &&Etype| match &self.secret {
            Secret::Password(_) => true,
            Secret::Keys(keys) => keys.iter().any(|key| key.etype() == **etype),
        };
        Etype::ALL.iter().filter(has_key).map(|etype| etype.to_wire()).collect()
    }

    /// The first key that the KDC describes and that can be had; or, for an answer that came at once, the key of its
    /// etype.
    fn pick_key(&self, padata: &[PaData], answered: Option<i32>) -> Result<Key, ClientError> {
        let info = padata.iter().find(|element| element.kind == PaType::ETYPE_INFO2);
        let infos = info.map(|info| EtypeInfo2::decode_list(&info.value)).transpose()?.unwrap_or_default();
        let described = infos.iter().filter(|info| answered.is_none_or(|etype| etype == info.etype));
        let bare = answered.map(|etype| EtypeInfo2 { etype, salt: None, parameters: Vec::new() });
        for info in described.chain(&bare) {
            let Some(etype) = Etype::from_wire(info.etype) else { continue };
            match &self.secret {
                Secret::Keys(keys) => {
                    if let Some(key) = keys.iter().find(|key| key.etype() == etype) {
                        return Ok(key.clone());
                    }
                }
                Secret::Password(password) => {
                    let default =
                        || [self.client.realm(), &self.client.components().concat()].concat().into();
                    let salt = info.salt.clone().unwrap_or_else(default);
                    return Ok(string_to_key(etype, password, &salt, &info.parameters)?);
                }
            }
        }
        Err(ClientError::NoCommonEtype {
            realm: self.route.realm().to_owned(),
            client: self.client.clone(),
            offered: infos.iter().map(|info| info.etype).collect(),
        })
    }

    fn other_answer(&self, what: &'static str) -> ClientError {
        ClientError::OtherAnswer { realm: self.route.realm().to_owned(), what }
    }
}
