//! The KDC: accounts, services and trusts of one realm, and the realms that find each other.

use std::collections::BTreeMap;

use certadm_kerberos::client::{ClientError, Logon, Question, Secret, Step, TicketRequest};
use certadm_kerberos::crypto::{Etype, Key, KeyUsage, UsageKeys, string_to_key};
use certadm_kerberos::message::{
    ApRequest, Authenticator, AuthorizationData, EncKdcReplyPart, EncTicketPart, EncryptedData, ErrorCode,
    EtypeInfo2, KdcKind, KdcReply, KdcRequest, KrbError, PaData, PaType, RequestBody, Ticket, TicketFlags,
    Timestamp,
};
use certadm_kerberos::{
    Credential, Environment, KerberosTime, Keytab, KeytabEntry, Moment, NameType, Principal,
};

use crate::pac::{PacHooks, PacMaker};

/// How far clocks may be apart, in seconds.
const SKEW: i64 = 300;

/// The KDCs of some realms.
#[derive(Debug, Default)]
pub struct Network(BTreeMap<String, Kdc>);

impl Network {
    /// These KDCs.
    pub fn of(kdcs: impl IntoIterator<Item = Kdc>) -> Self {
        Self(kdcs.into_iter().map(|kdc| (kdc.realm.clone(), kdc)).collect())
    }

    /// Takes a question to the KDC of its realm.
    ///
    /// # Panics
    /// When there is no such realm, or the question does not parse: the test, or what it tests, is wrong.
    pub fn ask(&self, question: &Question, environment: &dyn Environment) -> Vec<u8> {
        let kdc = self.0.get(&question.realm).unwrap_or_else(|| panic!("no realm {}", question.realm));
        kdc.answer(&question.message, environment)
    }

    /// What `kinit` gets: the ticket-granting ticket of a client.
    ///
    /// # Errors
    /// What the KDC refuses.
    ///
    /// # Panics
    /// As [`Network::ask`].
    pub fn granting(
        &self,
        client: Principal,
        secret: Secret,
        environment: &dyn Environment,
    ) -> Result<Credential, ClientError> {
        let mut logon = Logon::new(client, secret);
        let mut question = logon.start(environment)?;
        loop {
            match logon.answer(&self.ask(&question, environment), environment)? {
                Step::Ask(next) => question = next,
                Step::Done(done) => return Ok(done.credential),
            }
        }
    }

    /// What `kvno` gets: the ticket for a service, by way of other realms where the KDC says so.
    ///
    /// # Errors
    /// What the KDC refuses.
    ///
    /// # Panics
    /// As [`Network::ask`].
    pub fn ticket(
        &self,
        granting: Credential,
        service: &Principal,
        environment: &dyn Environment,
    ) -> Result<Credential, ClientError> {
        let mut request = TicketRequest::new(granting, service, 0)?;
        let mut question = request.start(environment)?;
        loop {
            match request.answer(&self.ask(&question, environment), environment)? {
                Step::Ask(next) => question = next,
                Step::Done(granted) => return Ok(granted.credential),
            }
        }
    }

    /// The answer to a message of whichever realm it names; a refusal where there is no such realm.
    ///
    /// # Panics
    /// When the message does not parse.
    pub fn answer(&self, message: &[u8], environment: &dyn Environment) -> Vec<u8> {
        let request = KdcRequest::decode(message).expect("a request");
        let body = RequestBody::decode(&request.body).expect("the body of a request");
        let Some(kdc) = self.0.get(body.service.realm()) else {
            let error = KrbError {
                code: ErrorCode::WRONG_REALM,
                server_time: environment.now().into(),
                client_realm: None,
                service: Some(body.service),
                text: Some("no such realm".to_owned()),
                data: None,
            };
            return error.encode();
        };
        kdc.answer(message, environment)
    }

    /// The KDC of a realm, to change it.
    ///
    /// # Panics
    /// When there is none.
    pub fn kdc(&mut self, realm: &str) -> &mut Kdc {
        self.0.get_mut(realm).expect("there is such a realm")
    }
}

/// The KDC of a realm.
#[derive(Debug)]
pub struct Kdc {
    realm: String,
    /// Accounts by their names.
    pub accounts: BTreeMap<String, Account>,
    /// Services by their names in small letters.
    pub services: BTreeMap<String, Service>,
    /// User principal names, and which account each is.
    pub enterprise_names: BTreeMap<String, String>,
    /// Accounts that live in another realm.
    pub moved: BTreeMap<String, String>,
    /// Keys shared with other realms, for both directions.
    pub trusts: BTreeMap<String, Key>,
    /// Hosts whose services another realm knows, or knows the way to.
    pub routes: BTreeMap<String, String>,
    /// By how many seconds its clock is ahead of the environment's.
    pub clock_offset: i64,
    /// The etypes of session keys that it gives, its favourite first.
    pub session_etypes: Vec<Etype>,
    /// Whether tickets have a PAC.
    pub has_pac: bool,
    /// What is done to these.
    pub pac: PacHooks,
    /// For how many seconds tickets are good.
    pub lifetime: i64,
    key: Key,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its password.
    pub password: String,
    /// The salt of its keys.
    pub salt: String,
    /// The etypes of its keys, in the KDC's order.
    pub etypes: Vec<Etype>,
    /// Whether it must prove its identity.
    pub needs_proof: bool,
    /// The proofs that the KDC says it takes. It takes an encrypted timestamp alone.
    pub proofs: Vec<PaType>,
    /// Whether it may log on.
    pub status: Status,
}

/// Whether an account may log on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Good,
    /// It may not, for this reason, with this status of Windows.
    Refused(ErrorCode, u32),
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its key.
    pub key: Key,
    /// The version of its key.
    pub key_version: u32,
}

/// A refusal, and what goes with it.
struct Refusal(ErrorCode, Option<Vec<u8>>);

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self(code, None)
    }
}

/// A key that anybody can make: tests are to be repeatable.
fn key_named(name: &str, etype: Etype) -> Key {
    string_to_key(etype, name, b"toy", &[0, 0, 0, 1]).expect("one iteration")
}

impl Kdc {
    /// A KDC without accounts and services.
    #[must_use]
    pub fn new(realm: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            accounts: BTreeMap::new(),
            services: BTreeMap::new(),
            enterprise_names: BTreeMap::new(),
            moved: BTreeMap::new(),
            trusts: BTreeMap::new(),
            routes: BTreeMap::new(),
            clock_offset: 0,
            session_etypes: Etype::ALL.to_vec(),
            has_pac: true,
            pac: PacHooks::default(),
            lifetime: 10 * 3600,
            key: key_named(realm, Etype::Aes256Sha1),
        }
    }

    /// Adds an account with keys of all etypes.
    pub fn add_account(&mut self, name: &str, password: &str) -> &mut Account {
        let account = Account {
            password: password.to_owned(),
            salt: format!("{}{name}", self.realm),
            etypes: Etype::ALL.to_vec(),
            needs_proof: true,
            proofs: vec![PaType::ENCRYPTED_TIMESTAMP],
            status: Status::Good,
        };
        self.accounts.entry(name.to_owned()).insert_entry(account).into_mut()
    }

    /// Adds a service with a key of this etype, and gives the keytab of its host.
    pub fn add_service(&mut self, class: &str, host: &str, etype: Etype) -> Keytab {
        let principal = Principal::service(class, host, &self.realm);
        let service = Service { key: key_named(&principal.to_string(), etype), key_version: 2 };
        let entry = KeytabEntry {
            principal: principal.clone(),
            key_version: service.key_version,
            etype: etype.to_wire(),
            key: Some(service.key.clone()),
        };
        self.services.insert(principal.name().to_ascii_lowercase(), service);
        Keytab::new(vec![entry])
    }

    /// Lets two realms trust each other.
    pub fn trust(&mut self, other: &mut Self) {
        let mut names = [self.realm.as_str(), &other.realm];
        names.sort_unstable();
        let key = key_named(&names.join("+"), Etype::Aes256Sha1);
        self.trusts.insert(other.realm.clone(), key.clone());
        other.trusts.insert(self.realm.clone(), key);
    }

    /// The answer to a message.
    ///
    /// # Panics
    /// When the message does not parse.
    pub fn answer(&self, message: &[u8], environment: &dyn Environment) -> Vec<u8> {
        let request = KdcRequest::decode(message).expect("a request");
        let body = RequestBody::decode(&request.body).expect("the body of a request");
        let answer = match request.kind {
            KdcKind::As => self.log_on(&request, &body, environment),
            KdcKind::Tgs => self.give_ticket(&request, &body, environment),
        };
        answer.unwrap_or_else(|Refusal(code, data)| {
            let moved = body.client.as_ref().and_then(|client| self.moved.get(&client.name()));
            let error = KrbError {
                code,
                server_time: self.now(environment),
                client_realm: moved.cloned(),
                service: Some(body.service.in_realm(&self.realm)),
                text: None,
                data,
            };
            error.encode()
        })
    }

    fn now(&self, environment: &dyn Environment) -> Moment {
        Moment::from(environment.now()).plus(self.clock_offset)
    }

    fn log_on(
        &self,
        request: &KdcRequest,
        body: &RequestBody,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>, Refusal> {
        let client = body.client.as_ref().ok_or(ErrorCode::CLIENT_UNKNOWN)?;
        let mut name = client.name();
        if self.moved.contains_key(&name) {
            return Err(ErrorCode::WRONG_REALM.into());
        }
        if client.name_type() == NameType::ENTERPRISE {
            name = self.enterprise_names.get(&name).ok_or(ErrorCode::CLIENT_UNKNOWN)?.clone();
        }
        let account = self.accounts.get(&name).ok_or(ErrorCode::CLIENT_UNKNOWN)?;
        if let Status::Refused(code, status) = account.status {
            let value = [&status.to_le_bytes()[..], &[0, 0, 0, 0, 1, 0, 0, 0]].concat();
            return Err(Refusal(code, Some(PaData::encode_list(&[PaData { kind: PaType(3), value }]))));
        }
        let common: Vec<_> =
            account.etypes.iter().filter(|etype| body.etypes.contains(&etype.to_wire())).collect();
        let &&etype = common.first().ok_or(ErrorCode::ETYPE_UNSUPPORTED)?;
        let infos: Vec<_> = common
            .iter()
            .map(|etype| EtypeInfo2 {
                etype: etype.to_wire(),
                salt: Some(account.salt.clone().into_bytes()),
                parameters: 64_u32.to_be_bytes().to_vec(),
            })
            .collect();
        let info = PaData { kind: PaType::ETYPE_INFO2, value: EtypeInfo2::encode_list(&infos) };
        let key = |etype| {
            let salt = account.salt.as_bytes();
            string_to_key(etype, &account.password, salt, &64_u32.to_be_bytes()).expect("64 iterations")
        };
        let proof = request.padata.iter().find(|element| element.kind == PaType::ENCRYPTED_TIMESTAMP);
        match proof {
            None if account.needs_proof => {
                let proofs = account.proofs.iter().map(|kind| PaData { kind: *kind, value: Vec::new() });
                let list: Vec<_> = proofs.chain([info]).collect();
                return Err(Refusal(ErrorCode::PREAUTH_REQUIRED, Some(PaData::encode_list(&list))));
            }
            None => {}
            Some(proof) => {
                let sealed = EncryptedData::decode(&proof.value).map_err(|_| ErrorCode::PREAUTH_FAILED)?;
                let etype = Etype::from_wire(sealed.etype).ok_or(ErrorCode::ETYPE_UNSUPPORTED)?;
                let plain =
                    sealed.open(&key(etype), KeyUsage::TIMESTAMP).map_err(|_| ErrorCode::PREAUTH_FAILED)?;
                let Timestamp(theirs) = Timestamp::decode(&plain).map_err(|_| ErrorCode::PREAUTH_FAILED)?;
                self.check_clock(theirs.time, environment)?;
            }
        }
        let now = self.now(environment).time;
        let ticket = EncTicketPart {
            flags: TicketFlags(TicketFlags::PRE_AUTHENTICATED),
            session_key: self.session_key(&body.etypes, environment)?,
            client: Principal::account(&name, &self.realm),
            transited: Vec::new(),
            auth_time: now,
            start_time: Some(now),
            end_time: now.plus(self.lifetime).min(body.till),
            authorization: Vec::new(),
        };
        let service = Principal::ticket_granting(&self.realm, &self.realm);
        let reply =
            Reply { kind: KdcKind::As, service, service_key: &self.key, key_version: 1, nonce: body.nonce };
        Ok(reply.encode(ticket, vec![info], &key(etype), KeyUsage::AS_REPLY, environment))
    }

    fn give_ticket(
        &self,
        request: &KdcRequest,
        body: &RequestBody,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>, Refusal> {
        let shown = request.padata.iter().find(|element| element.kind == PaType::TGS_REQUEST);
        let shown =
            ApRequest::decode(&shown.ok_or(ErrorCode::GENERIC)?.value).map_err(|_| ErrorCode::GENERIC)?;
        let ticket = Ticket::decode(&shown.ticket).map_err(|_| ErrorCode::GENERIC)?;
        if ticket.service.granted_realm() != Some(&self.realm) {
            return Err(ErrorCode::NOT_US.into());
        }
        let issuer = ticket.service.realm();
        let key = if issuer == self.realm { Some(&self.key) } else { self.trusts.get(issuer) };
        let plain = ticket.enc_part.open(key.ok_or(ErrorCode::NOT_US)?, KeyUsage::TICKET);
        let part = EncTicketPart::decode(&plain.map_err(|_| ErrorCode::MODIFIED)?)
            .map_err(|_| ErrorCode::GENERIC)?;
        let session_key = &part.session_key;
        let plain = shown
            .authenticator
            .open(session_key, KeyUsage::TGS_AUTHENTICATOR)
            .map_err(|_| ErrorCode::BAD_INTEGRITY)?;
        let authenticator = Authenticator::decode(&plain).map_err(|_| ErrorCode::GENERIC)?;
        if authenticator.client != part.client {
            return Err(ErrorCode::MISMATCH.into());
        }
        let sum = authenticator.checksum.ok_or(ErrorCode::WRONG_CHECKSUM)?;
        let keys = UsageKeys::new(session_key, KeyUsage::TGS_CHECKSUM);
        if sum.kind != session_key.etype().checksum_type()
            || keys.verify_checksum(&[&request.body], &sum.value).is_err()
        {
            return Err(ErrorCode::WRONG_CHECKSUM.into());
        }
        self.check_clock(authenticator.moment.time, environment)?;
        let now = self.now(environment).time;
        if part.end_time < now {
            return Err(ErrorCode::TICKET_EXPIRED.into());
        }

        let (service, service_key, key_version) = self.find_service(&body.service)?;
        let pac = self.has_pac.then(|| {
            let mut pac = PacMaker::new(&part.client.name(), part.auth_time);
            self.pac.make.iter().for_each(|make| make(&mut pac));
            let mut data = pac.sign(service_key, &self.key);
            self.pac.alter.iter().for_each(|alter| alter(&mut data));
            AuthorizationData { kind: AuthorizationData::PAC, data }
        });
        let authorization = pac.map(|pac| AuthorizationData {
            kind: AuthorizationData::IF_RELEVANT,
            data: AuthorizationData::encode_list(&[pac]),
        });
        let end_time = part.end_time.min(body.till);
        let ticket = EncTicketPart {
            session_key: self.session_key(&body.etypes, environment)?,
            start_time: Some(now),
            end_time,
            authorization: authorization.into_iter().collect(),
            ..part.clone()
        };
        let (reply_key, usage) = match &authenticator.subkey {
            Some(subkey) => (subkey, KeyUsage::TGS_REPLY_SUBKEY),
            None => (session_key, KeyUsage::TGS_REPLY_SESSION),
        };
        let reply = Reply { kind: KdcKind::Tgs, service, service_key, key_version, nonce: body.nonce };
        Ok(reply.encode(ticket, Vec::new(), reply_key, usage, environment))
    }

    /// A service of this realm, or the way to it.
    fn find_service(&self, wanted: &Principal) -> Result<(Principal, &Key, u32), Refusal> {
        if let Some(service) = self.services.get(&wanted.name().to_ascii_lowercase()) {
            // In the spelling that was asked for, as domain controllers answer.
            return Ok((wanted.in_realm(&self.realm), &service.key, service.key_version));
        }
        let host = wanted.components().get(1).ok_or(ErrorCode::SERVICE_UNKNOWN)?;
        let next = self.routes.get(host).ok_or(ErrorCode::SERVICE_UNKNOWN)?;
        let key = self.trusts.get(next).ok_or(ErrorCode::SERVICE_UNKNOWN)?;
        Ok((Principal::ticket_granting(next, &self.realm), key, 1))
    }

    fn check_clock(&self, theirs: KerberosTime, environment: &dyn Environment) -> Result<(), Refusal> {
        let ours = self.now(environment).time;
        if theirs.since(ours).abs() <= SKEW { Ok(()) } else { Err(ErrorCode::SKEW.into()) }
    }

    fn session_key(&self, wanted: &[i32], environment: &dyn Environment) -> Result<Key, Refusal> {
        let etype = self
            .session_etypes
            .iter()
            .find(|etype| wanted.contains(&etype.to_wire()))
            .ok_or(ErrorCode::ETYPE_UNSUPPORTED)?;
        Key::random(*etype, environment).map_err(|_| ErrorCode::GENERIC.into())
    }
}

/// What an answer says beside the ticket.
struct Reply<'a> {
    kind: KdcKind,
    service: Principal,
    service_key: &'a Key,
    key_version: u32,
    nonce: u32,
}

impl Reply<'_> {
    fn encode(
        self,
        ticket: EncTicketPart,
        padata: Vec<PaData>,
        reply_key: &Key,
        usage: KeyUsage,
        environment: &dyn Environment,
    ) -> Vec<u8> {
        const RANDOM: &str = "the world of a KDC has random bytes";
        let version = Some(self.key_version);
        let sealed =
            EncryptedData::seal(self.service_key, KeyUsage::TICKET, version, &ticket.encode(), environment);
        let part = EncKdcReplyPart {
            session_key: ticket.session_key.clone(),
            nonce: self.nonce,
            flags: ticket.flags,
            auth_time: ticket.auth_time,
            start_time: ticket.start_time,
            end_time: ticket.end_time,
            service: self.service.clone(),
        };
        let reply = KdcReply {
            kind: self.kind,
            padata,
            client: ticket.client,
            ticket: Ticket { service: self.service, enc_part: sealed.expect(RANDOM) }.encode(),
            enc_part: EncryptedData::seal(reply_key, usage, None, &part.encode(self.kind), environment)
                .expect(RANDOM),
        };
        reply.encode()
    }
}
