//! The client's handshake: raw (auth_type 16) and in SPNEGO (auth_type 9).
//!
//! What it takes to get a ticket needs a network; that is the caller's part, with `certadm_kerberos::client`.

use std::fmt;
use std::sync::Arc;

use certadm_kerberos::{Credential, Environment, Seal, Unseal};
use certadm_rules::AuthType;

use crate::context::{Established, Initiator, LastLeg, PeerIdentity, Step};
use crate::error::AuthError;
use crate::kerberos::session::{KerberosSeal, KerberosUnseal};
use crate::sealing::{Sealer, Unsealer};
use crate::spnego::token::{NegState, NegTokenResp, encode_init, mechanism_list, oid};

/// How the tokens of Kerberos travel (wire.md 2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As they are, auth_type 16: three legs.
    Raw,
    /// In SPNEGO, auth_type 9: four legs, with a proof that nobody altered the negotiation.
    Spnego,
}

/// Starts a client's handshake with a ticket for the service. `clock_offset` is by how many seconds the KDC's clock is
/// ahead of this machine's.
#[must_use]
pub fn kerberos_initiator(
    credential: Credential,
    clock_offset: i64,
    framing: Framing,
    environment: Arc<dyn Environment>,
) -> Box<dyn Initiator> {
    let service = credential.service.to_string();
    let stage = Stage::Fresh(credential, clock_offset);
    Box::new(KerberosInitiator { stage, service, framing, environment })
}

struct KerberosInitiator {
    stage: Stage,
    service: String,
    framing: Framing,
    environment: Arc<dyn Environment>,
}

/// Where a handshake stands.
enum Stage {
    /// Nothing sent.
    Fresh(Credential, i64),
    /// The ticket is out, the service's proof is due.
    Shown(certadm_kerberos::Initiator),
    /// The third message is out, the end of the negotiation is due (SPNEGO).
    Answered(Box<(Seal, Unseal)>),
    /// Completed or failed.
    Finished,
}

/// What SPNEGO offers: Kerberos under both of its numbers, the one that Windows writes first (wire.md 2.13).
fn offered() -> Vec<u8> {
    mechanism_list(&[oid::WINDOWS_KERBEROS, oid::KERBEROS])
}

impl KerberosInitiator {
    fn established(&self, seal: Seal, unseal: Unseal) -> Established {
        Established {
            sealer: Sealer::kerberos(KerberosSeal(seal)),
            unsealer: Unsealer::kerberos(KerberosUnseal(unseal)),
            peer: PeerIdentity::Service { name: self.service.clone(), mutual: true },
        }
    }

    /// Takes the service's proof, and gives the third message.
    fn answer(&mut self, initiator: certadm_kerberos::Initiator, token_in: &[u8]) -> Result<Step, AuthError> {
        let proof = match self.framing {
            Framing::Raw => token_in,
            Framing::Spnego => proof_within(token_in)?,
        };
        let mut context = initiator.finish(proof, &*self.environment)?;
        if self.framing == Framing::Raw {
            let done = Some(self.established(context.seal, context.unseal));
            return Ok(Step { token_out: context.third, done });
        }
        // The signature over the list takes a sequence number; the first PDU has the next one.
        let mut mic = vec![0; context.seal.signed_token_size()];
        context.seal.sign(&[&offered()], &mut mic).map_err(|_| TAMPERED)?;
        let resp =
            NegTokenResp { response: Some(&context.third), mic: Some(&mic), ..NegTokenResp::default() };
        let token_out = resp.encode();
        self.stage = Stage::Answered(Box::new((context.seal, context.unseal)));
        Ok(Step::next(token_out))
    }
}

/// The largest token of a bind: header, proposals and trailer are in the 65,535 bytes of its PDU as well (wire.md 2.1, 2.2).
const MAX_TOKEN: usize = 65_000;

const TAMPERED: AuthError = AuthError::Tampered { what: "SPNEGO mechListMIC" };

impl Initiator for KerberosInitiator {
    fn auth_type(&self) -> AuthType {
        match self.framing {
            Framing::Raw => AuthType::KERBEROS,
            Framing::Spnego => AuthType::SPNEGO,
        }
    }

    fn last_leg(&self) -> LastLeg {
        LastLeg::AlterContext
    }

    fn step(&mut self, token_in: &[u8]) -> Result<Step, AuthError> {
        match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Fresh(credential, clock_offset) => {
                let (initiator, first) =
                    certadm_kerberos::Initiator::start(credential, clock_offset, &*self.environment)
                        .map_err(|_| AuthError::NoRandomness)?;
                let token_out = match self.framing {
                    Framing::Raw => first,
                    Framing::Spnego => encode_init(&offered(), &first),
                };
                if MAX_TOKEN < token_out.len() {
                    return Err(AuthError::TicketTooLarge { size: token_out.len(), limit: MAX_TOKEN });
                }
                self.stage = Stage::Shown(initiator);
                Ok(Step::next(token_out))
            }
            Stage::Shown(initiator) => self.answer(initiator, token_in),
            Stage::Answered(halves) => {
                let (seal, mut unseal) = *halves;
                let resp = NegTokenResp::parse(token_in)?;
                match resp.state {
                    Some(NegState::Reject) => return Err(AuthError::RejectedByPeer),
                    None | Some(NegState::AcceptCompleted) => {}
                    Some(NegState::AcceptIncomplete | NegState::RequestMic) => {
                        return Err(AuthError::UnexpectedToken { what: "SPNEGO that does not end" });
                    }
                }
                let mic = resp.mic.ok_or(AuthError::Tampered { what: "SPNEGO mechListMIC missing" })?;
                unseal.verify(&[&offered()], mic).map_err(|_| TAMPERED)?;
                Ok(Step { token_out: Vec::new(), done: Some(self.established(seal, unseal)) })
            }
            Stage::Finished => Err(AuthError::Finished),
        }
    }
}

/// The service's token in the second leg of SPNEGO. The service must go on with what was offered first: anything else
/// would be another mechanism than the one that was begun.
fn proof_within(token: &[u8]) -> Result<&[u8], AuthError> {
    let resp = NegTokenResp::parse(token)?;
    if resp.state == Some(NegState::Reject) && resp.response.is_none() {
        return Err(AuthError::RejectedByPeer);
    }
    if resp.mechanism.is_some_and(|chosen| chosen != oid::WINDOWS_KERBEROS && chosen != oid::KERBEROS) {
        return Err(AuthError::NoCommonMechanism { ours: "Kerberos" });
    }
    resp.response.ok_or(AuthError::UnexpectedToken { what: "SPNEGO without a mechanism token" })
}

impl fmt::Debug for KerberosInitiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KerberosInitiator").field("service", &self.service).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SealError;
    use crate::protection::{Level, Protection, Segments};
    use crate::spnego::token::NegTokenInit;
    use certadm_kerberos::client::{Logon, Secret, Step as Ask, TicketRequest};
    use certadm_kerberos::crypto::Etype;
    use certadm_kerberos::{Accepted, Acceptor, Demand, Message, Pending, Principal};
    use certadm_toy_kdc::{Kdc, Network, World};

    /// A ticket for a service of a realm in memory, and who accepts it.
    fn stage() -> (Credential, Acceptor, Arc<World>) {
        let mut kdc = Kdc::new("TOY.TEST");
        kdc.add_account("alice", "Al1ce-Pa55");
        let keytab = kdc.add_service("HOST", "ca1.toy.test", Etype::Aes256Sha1);
        let (network, world) = (Network::of([kdc]), Arc::new(World::noon()));
        let secret = Secret::Password("Al1ce-Pa55".to_owned().into());
        let mut logon = Logon::new(Principal::account("alice", "TOY.TEST"), secret);
        let mut question = logon.start(&*world).unwrap();
        let granting = loop {
            match logon.answer(&network.ask(&question, &*world), &*world).unwrap() {
                Ask::Ask(next) => question = next,
                Ask::Done(done) => break done.credential,
            }
        };
        let service = Principal::service("HOST", "ca1.toy.test", "TOY.TEST");
        let mut request = TicketRequest::new(granting, &service, 0).unwrap();
        let question = request.start(&*world).unwrap();
        let Ask::Done(granted) = request.answer(&network.ask(&question, &*world), &*world).unwrap() else {
            panic!("a ticket")
        };
        (granted.credential, Acceptor::new(Arc::new(keytab), Arc::default()), world)
    }

    /// A KDC's answer has room for such a ticket, and so has a cache; the bind of a connection has not.
    #[test]
    fn a_ticket_too_large_for_a_bind_is_said_to_be_so() {
        for framing in [Framing::Raw, Framing::Spnego] {
            for (size, fits) in [(64_000, true), (65_400, false), (65_600, false), (1 << 20, false)] {
                let (mut credential, _, world) = stage();
                credential.ticket = vec![0x61; size];
                let step = kerberos_initiator(credential, 0, framing, world).step(&[]);
                match step {
                    Ok(_) => assert!(fits, "{framing:?} {size}"),
                    Err(AuthError::TicketTooLarge { .. }) => assert!(!fits, "{framing:?} {size}"),
                    Err(error) => panic!("{framing:?} {size}: {error}"),
                }
            }
        }
    }

    fn start(framing: Framing) -> (Box<dyn Initiator>, Vec<u8>, Acceptor, Arc<World>) {
        let (credential, acceptor, world) = stage();
        let mut initiator = kerberos_initiator(credential, 0, framing, world.clone());
        let first = initiator.step(&[]).unwrap().token_out;
        (initiator, first, acceptor, world)
    }

    /// PDUs in both directions, at both levels, with and without header signing.
    fn talk(mut ours: Established, mut theirs: Accepted) {
        assert_eq!(
            ours.peer,
            PeerIdentity::Service { name: "HOST/ca1.toy.test@TOY.TEST".to_owned(), mutual: true }
        );
        for level in [Level::Privacy, Level::Integrity] {
            for header_signing in [true, false] {
                let protection = Protection { level, header_signing };
                let signed = |part: &'static [u8]| if header_signing { part } else { &[] };
                let mut body = [7; 32];
                let mut token = vec![0; ours.sealer.token_size(level)];
                let pdu = Segments { header: b"header", body: &mut body, trailer: b"trailer!" };
                ours.sealer.seal(protection, pdu, &mut token).unwrap();
                let (header, trailer) = (signed(b"header"), signed(b"trailer!"));
                match level {
                    Level::Privacy => {
                        theirs.unseal.unseal(Message { header, body: &mut body, trailer }, &token).unwrap();
                    }
                    Level::Integrity => theirs.unseal.verify(&[header, &body, trailer], &token).unwrap(),
                }
                assert_eq!(body, [7; 32]);

                match level {
                    Level::Privacy => {
                        theirs.seal.seal(Message { header, body: &mut body, trailer }, &mut token).unwrap();
                    }
                    Level::Integrity => theirs.seal.sign(&[header, &body, trailer], &mut token).unwrap(),
                }
                let pdu = Segments { header: b"header", body: &mut body, trailer: b"trailer!" };
                ours.unsealer.unseal(protection, pdu, &token).unwrap();
                assert_eq!(body, [7; 32]);
            }
        }
        let protection = Protection { level: Level::Privacy, header_signing: true };
        let mut odd = [0; 20];
        let mut token = vec![0; ours.sealer.token_size(Level::Privacy)];
        let pdu = Segments { header: b"", body: &mut odd, trailer: b"" };
        assert_eq!(ours.sealer.seal(protection, pdu, &mut token), Err(SealError::Alignment));
        let pdu = Segments { header: b"", body: &mut odd, trailer: b"" };
        assert!(matches!(ours.unsealer.unseal(protection, pdu, &token), Err(SealError::TokenSize { .. })));
        let pdu = Segments { header: b"", body: &mut odd, trailer: b"" };
        assert_eq!(ours.unsealer.unseal(protection, pdu, &token), Err(SealError::Broken));
    }

    #[test]
    fn raw_kerberos_has_three_legs() {
        let (mut initiator, first, acceptor, world) = start(Framing::Raw);
        assert_eq!(
            (initiator.auth_type(), initiator.last_leg()),
            (AuthType::KERBEROS, LastLeg::AlterContext)
        );
        let (pending, second) = acceptor.accept(&first, Demand::Privacy, &*world).unwrap();
        let step = initiator.step(&second).unwrap();
        talk(step.done.unwrap(), pending.finish(&step.token_out).unwrap());
        assert_eq!(initiator.step(&[]).unwrap_err(), AuthError::Finished);
    }

    /// The second leg of SPNEGO, and whom it leaves pending.
    fn second(first: &[u8], acceptor: &Acceptor, world: &World) -> (Pending, Vec<u8>) {
        let init = NegTokenInit::parse(first).unwrap();
        assert_eq!(init.mechanisms, [oid::WINDOWS_KERBEROS, oid::KERBEROS]);
        acceptor.accept(init.mech_token.unwrap(), Demand::Privacy, world).unwrap()
    }

    fn resp(state: NegState, response: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
        let mechanism = response.map(|_| oid::WINDOWS_KERBEROS);
        NegTokenResp { state: Some(state), mechanism, response, mic }.encode()
    }

    #[test]
    fn spnego_ends_with_a_signature_of_each_side() {
        for broken in [false, true] {
            let (mut initiator, first, acceptor, world) = start(Framing::Spnego);
            assert_eq!(initiator.auth_type(), AuthType::SPNEGO);
            let (pending, proof) = second(&first, &acceptor, &world);
            let step = initiator.step(&resp(NegState::AcceptIncomplete, Some(&proof), None)).unwrap();
            assert!(step.done.is_none());
            let third = NegTokenResp::parse(&step.token_out).unwrap();
            let mut theirs = pending.finish(third.response.unwrap()).unwrap();
            theirs.unseal.verify(&[&offered()], third.mic.unwrap()).unwrap();
            let mut mic = vec![0; theirs.seal.signed_token_size()];
            theirs.seal.sign(&[&offered()], &mut mic).unwrap();
            if broken {
                mic[20] ^= 1;
                assert_eq!(
                    initiator.step(&resp(NegState::AcceptCompleted, None, Some(&mic))).unwrap_err(),
                    AuthError::Tampered { what: "SPNEGO mechListMIC" }
                );
            } else {
                let step = initiator.step(&resp(NegState::AcceptCompleted, None, Some(&mic))).unwrap();
                talk(step.done.unwrap(), theirs);
            }
        }
    }

    #[test]
    fn what_does_not_belong_into_the_negotiation_is_refused() {
        let after_first = |answer: &[u8]| start(Framing::Spnego).0.step(answer).unwrap_err();
        assert_eq!(after_first(&resp(NegState::Reject, None, None)), AuthError::RejectedByPeer);
        assert!(matches!(
            after_first(&resp(NegState::AcceptCompleted, None, None)),
            AuthError::UnexpectedToken { .. }
        ));
        let other = NegTokenResp {
            state: Some(NegState::AcceptIncomplete),
            mechanism: Some(oid::NTLM),
            response: Some(b"NTLMSSP"),
            mic: None,
        };
        assert_eq!(after_first(&other.encode()), AuthError::NoCommonMechanism { ours: "Kerberos" });
        assert!(matches!(after_first(b"x"), AuthError::Malformed { .. }));

        for (state, mic) in
            [(NegState::AcceptCompleted, false), (NegState::RequestMic, true), (NegState::Reject, true)]
        {
            let (mut initiator, first, acceptor, world) = start(Framing::Spnego);
            let (_, proof) = second(&first, &acceptor, &world);
            initiator.step(&resp(NegState::AcceptIncomplete, Some(&proof), None)).unwrap();
            assert!(initiator.step(&resp(state, None, mic.then_some(&[0; 28]))).is_err(), "{state:?}");
            assert_eq!(initiator.step(&[]).unwrap_err(), AuthError::Finished);
        }
    }

    #[test]
    fn a_refusal_of_the_service_says_what_to_do() {
        let (credential, acceptor, world) = stage();
        let mut late = kerberos_initiator(credential, 1000, Framing::Raw, world.clone());
        let first = late.step(&[]).unwrap().token_out;
        let refusal = acceptor.accept(&first, Demand::Privacy, &*world).map(|_| ()).unwrap_err();
        let error = late.step(&refusal.answer(&*world).unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("refused the ticket: 37 (SKEW); its clock shows ")
                && text.contains("1000 s behind")
        );
        assert!(text.ends_with("; set the clocks of this machine, of the service and of the KDC"), "{text}");
        assert_eq!(error.fault_status(), 5);

        let (mut initiator, ..) = start(Framing::Raw);
        assert_eq!(initiator.step(b"no answer").unwrap_err().fault_status(), 0x721);
        let (credential, _, world) = stage();
        world.run_dry();
        let mut dry = kerberos_initiator(credential, 0, Framing::Raw, world);
        assert_eq!(dry.step(&[]).unwrap_err(), AuthError::NoRandomness);
        assert_eq!(format!("{dry:?}"), "KerberosInitiator { service: \"HOST/ca1.toy.test@TOY.TEST\", .. }");
    }
}
