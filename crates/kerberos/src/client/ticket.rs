//! A ticket for a service (RFC 4120 3.3), through other realms if need be (RFC 6806 8).

use super::error::ClientError;
use super::logon::LIFETIME;
use super::question::{Question, Route, Step};
use crate::credential::Credential;
use crate::crypto::{Etype, IntegrityError, Key, KeyUsage, UsageKeys};
use crate::environment::{Environment, random};
use crate::message::{
    ApOptions, ApRequest, Authenticator, Checksum, EncKdcReplyPart, EncryptedData, ErrorCode, KdcKind,
    KdcOptions, KdcReply, KdcRequest, KrbError, PaData, PaType, RequestBody,
};
use crate::moment::Moment;
use crate::principal::Principal;

/// A request for a ticket that is under way.
#[derive(Debug)]
pub struct TicketRequest {
    granting: Credential,
    class_and_host: Principal,
    etypes: Vec<Etype>,
    route: Route,
    clock_offset: i64,
    /// The nonce and the subkey of the last question.
    asked: Option<(u32, Key)>,
    was_skewed: bool,
    kdc_ahead: Option<i64>,
}

/// What a request leads to.
#[derive(Debug)]
pub struct Granted {
    /// The ticket for the service.
    pub credential: Credential,
    /// By how many seconds the KDC's clock is ahead of this machine's.
    pub clock_offset: i64,
}

impl TicketRequest {
    /// Asks for a ticket for `service`, whose realm does not matter: the KDC of the client's realm knows the way.
    /// `clock_offset` is that of the logon, or of the credential cache.
    ///
    /// # Errors
    /// [`ClientError::NotGranting`].
    pub fn new(granting: Credential, service: &Principal, clock_offset: i64) -> Result<Self, ClientError> {
        let Some(realm) = granting.service.granted_realm() else {
            return Err(ClientError::NotGranting { service: granting.service });
        };
        let route = Route::from(realm);
        Ok(Self {
            granting,
            class_and_host: service.clone(),
            etypes: Etype::ALL.to_vec(),
            route,
            clock_offset,
            asked: None,
            was_skewed: false,
            kdc_ahead: None,
        })
    }

    /// Asks for a session key of these etypes only.
    #[must_use]
    pub fn with_etypes(mut self, etypes: &[Etype]) -> Self {
        self.etypes = etypes.to_vec();
        self
    }

    /// By how many seconds the KDC's clock is ahead of this machine's, as its last answer shows it; none before one does.
    #[must_use]
    pub const fn kdc_ahead(&self) -> Option<i64> {
        self.kdc_ahead
    }

    /// The first question.
    ///
    /// # Errors
    /// [`ClientError::NoRandomness`].
    pub fn start(&mut self, environment: &dyn Environment) -> Result<Question, ClientError> {
        self.question(environment)
    }

    /// Takes the answer to the last question.
    ///
    /// # Errors
    /// [`ClientError`]. The request is over then.
    pub fn answer(
        &mut self,
        answer: &[u8],
        environment: &dyn Environment,
    ) -> Result<Step<Granted>, ClientError> {
        if KrbError::is_one(answer) {
            return self.refusal(KrbError::decode(answer)?, environment).map(Step::Ask);
        }
        let reply = KdcReply::decode(answer, KdcKind::Tgs)?;
        let Some((nonce, subkey)) = self.asked.take() else {
            return Err(self.other_answer("nothing was asked"));
        };
        let plain = reply
            .enc_part
            .open(&subkey, KeyUsage::TGS_REPLY_SUBKEY)
            .or_else(|IntegrityError| {
                reply.enc_part.open(&self.granting.session_key, KeyUsage::TGS_REPLY_SESSION)
            })
            .map_err(|IntegrityError| ClientError::WrongKey {
                realm: self.route.realm().to_owned(),
                client: self.granting.client.clone(),
            })?;
        let part = EncKdcReplyPart::decode(&plain)?;
        if part.nonce != nonce {
            return Err(self.other_answer("its nonce is another one"));
        }
        if reply.client != self.granting.client {
            return Err(self.other_answer("it is for another client"));
        }
        // A ticket begins when it is given; without a beginning it has that of the ticket it was got with.
        let given = part.start_time.map(|start| start.since(Moment::from(environment.now()).time));
        self.kdc_ahead = given.or(self.kdc_ahead);
        let credential = Credential::of_answer(reply.client, reply.ticket, part);
        if credential.service.realm() != self.route.realm() {
            return Err(self.other_answer("its ticket is of another realm"));
        }
        if credential.service.is_named_like(&self.class_and_host) {
            return Ok(Step::Done(Granted { credential, clock_offset: self.clock_offset }));
        }
        // A ticket-granting ticket of another realm: there the service, or the way to it, is known.
        let Some(realm) = credential.service.granted_realm().map(str::to_owned) else {
            return Err(self.other_answer("its ticket is for another service"));
        };
        self.route.refer(&realm)?;
        self.granting = credential;
        self.question(environment).map(Step::Ask)
    }

    /// What to do about an error: clocks that differ are no failure the first time.
    fn refusal(&mut self, error: KrbError, environment: &dyn Environment) -> Result<Question, ClientError> {
        let ahead = error.server_time.time.since(Moment::from(environment.now()).time);
        self.kdc_ahead = Some(ahead);
        if error.code == ErrorCode::SKEW && !self.was_skewed {
            self.was_skewed = true;
            self.clock_offset = ahead;
            return self.question(environment);
        }
        Err(ClientError::Refused {
            realm: self.route.realm().to_owned(),
            about: self.class_and_host.clone(),
            error: Box::new(error),
        })
    }

    /// TGS-REQ: an AP-REQ to the ticket-granting service, with a checksum over the body.
    fn question(&mut self, environment: &dyn Environment) -> Result<Question, ClientError> {
        let now = Moment::from(environment.now()).plus(self.clock_offset);
        let realm = self.route.realm();
        let session_key = &self.granting.session_key;
        let nonce = u32::from_be_bytes(random(environment)?) >> 1;
        let subkey = Key::random(session_key.etype(), environment)?;
        let wanted = &self.class_and_host;
        let body = RequestBody {
            options: KdcOptions::CANONICALIZE,
            client: None,
            service: wanted.in_realm(realm),
            till: now.time.plus(LIFETIME),
            nonce,
            etypes: self.etypes.iter().map(|etype| etype.to_wire()).collect(),
        }
        .encode();
        let authenticator = Authenticator {
            client: self.granting.client.clone(),
            checksum: Some(Checksum {
                kind: session_key.etype().checksum_type(),
                value: UsageKeys::new(session_key, KeyUsage::TGS_CHECKSUM).checksum(&[&body]),
            }),
            moment: now,
            subkey: Some(subkey.clone()),
            sequence: None,
        };
        let request = ApRequest {
            options: ApOptions::default(),
            ticket: self.granting.ticket.clone(),
            authenticator: EncryptedData::seal(
                session_key,
                KeyUsage::TGS_AUTHENTICATOR,
                None,
                &authenticator.encode(),
                environment,
            )?,
        };
        let padata = vec![PaData { kind: PaType::TGS_REQUEST, value: request.encode() }];
        let message = KdcRequest { kind: KdcKind::Tgs, padata, body }.encode();
        let question = Question { realm: realm.to_owned(), message };
        self.asked = Some((nonce, subkey));
        Ok(question)
    }

    fn other_answer(&self, what: &'static str) -> ClientError {
        ClientError::OtherAnswer { realm: self.route.realm().to_owned(), what }
    }
}
