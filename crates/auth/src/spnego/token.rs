//! NegTokenInit and NegTokenResp (RFC 4178 4.2; wire.md 2.13). Parsing borrows from the token.

use crate::error::AuthError;
use crate::spnego::der::{self, Reader, tag};

/// Content of the object identifiers that matter (wire.md 1.5).
pub(crate) mod oid {
    pub(crate) const SPNEGO: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
    /// Kerberos, as RFC 4121 numbers it.
    pub(crate) const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
    /// The same, as an early Windows wrote it and all since: a bit got lost.
    pub(crate) const WINDOWS_KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02];
    pub(crate) const NTLM: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];
}

/// Most mechanisms a client may list.
const MOST_MECHANISMS: usize = 32;

/// The first token of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NegTokenInit<'a> {
    /// Object identifiers, preferred first; never empty.
    pub(crate) mechanisms: Vec<&'a [u8]>,
    /// The DER of the mechTypes SEQUENCE, tag included, as the client wrote it: the text of mechListMIC.
    pub(crate) mechanism_list: Vec<u8>,
    /// The token of the first mechanism.
    pub(crate) mech_token: Option<&'a [u8]>,
}

impl<'a> NegTokenInit<'a> {
    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, AuthError> {
        Self::read(token).ok_or(AuthError::Malformed { what: "SPNEGO NegTokenInit" })
    }

    fn read(token: &'a [u8]) -> Option<Self> {
        let mut frame = Reader::new(der::only(token, tag::APPLICATION)?);
        if frame.value(tag::OBJECT_IDENTIFIER)? != oid::SPNEGO {
            return None;
        }
        let choice = frame.value(tag::context(0))?;
        if !frame.is_empty() {
            return None;
        }
        let mut fields = Reader::new(der::only(choice, tag::SEQUENCE)?);
        let list = der::only(fields.value(tag::context(0))?, tag::SEQUENCE)?;
        // reqFlags: obsolete, ignored (RFC 4178 4.2.1)
        fields.optional(tag::context(1))?;
        let mech_token = match fields.optional(tag::context(2))? {
            Some(content) => Some(der::only(content, tag::OCTET_STRING)?),
            None => None,
        };
        // mechListMIC, or the hints of MS-SPNG 2.2.1: no meaning in a first token from a client
        fields.optional(tag::context(3))?;
        if !fields.is_empty() {
            return None;
        }

        let mut mechanisms = Vec::new();
        let mut reader = Reader::new(list);
        while !reader.is_empty() {
            if mechanisms.len() == MOST_MECHANISMS {
                return None;
            }
            mechanisms.push(reader.value(tag::OBJECT_IDENTIFIER)?);
        }
        if mechanisms.is_empty() {
            return None;
        }
        Some(Self { mechanisms, mechanism_list: der::wrap(tag::SEQUENCE, list), mech_token })
    }
}

/// The DER of mechTypes with these mechanisms: the text of mechListMIC.
pub(crate) fn mechanism_list(mechanisms: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = mechanisms.iter().flat_map(|oid| der::wrap(tag::OBJECT_IDENTIFIER, oid)).collect();
    der::wrap(tag::SEQUENCE, &list)
}

/// A first token that offers this list, with a token for its first mechanism.
pub(crate) fn encode_init(mechanism_list: &[u8], mech_token: &[u8]) -> Vec<u8> {
    let token = der::wrap(tag::OCTET_STRING, mech_token);
    let fields = [der::wrap(tag::context(0), mechanism_list), der::wrap(tag::context(2), &token)].concat();
    let choice = der::wrap(tag::context(0), &der::wrap(tag::SEQUENCE, &fields));
    der::wrap(tag::APPLICATION, &[der::wrap(tag::OBJECT_IDENTIFIER, oid::SPNEGO), choice].concat())
}

/// State of a negotiation (RFC 4178 4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NegState {
    AcceptCompleted,
    AcceptIncomplete,
    Reject,
    RequestMic,
}

impl NegState {
    fn from_wire(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AcceptCompleted),
            1 => Some(Self::AcceptIncomplete),
            2 => Some(Self::Reject),
            3 => Some(Self::RequestMic),
            _ => None,
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::AcceptCompleted => 0,
            Self::AcceptIncomplete => 1,
            Self::Reject => 2,
            Self::RequestMic => 3,
        }
    }
}

/// Every later token, in both directions. All fields are optional; impacket, for one, leaves the state out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NegTokenResp<'a> {
    pub(crate) state: Option<NegState>,
    pub(crate) mechanism: Option<&'a [u8]>,
    pub(crate) response: Option<&'a [u8]>,
    pub(crate) mic: Option<&'a [u8]>,
}

impl<'a> NegTokenResp<'a> {
    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, AuthError> {
        Self::read(token).ok_or(AuthError::Malformed { what: "SPNEGO NegTokenResp" })
    }

    fn read(token: &'a [u8]) -> Option<Self> {
        let choice = der::only(token, tag::context(1))?;
        let mut fields = Reader::new(der::only(choice, tag::SEQUENCE)?);
        let mut field = |number, content_tag| match fields.optional(tag::context(number))? {
            Some(content) => der::only(content, content_tag).map(Some),
            None => Some(None),
        };
        let state = match field(0, tag::ENUMERATED)? {
            Some([number]) => Some(NegState::from_wire(*number)?),
            Some(_) => return None,
            None => None,
        };
        let token = Self {
            state,
            mechanism: field(1, tag::OBJECT_IDENTIFIER)?,
            response: field(2, tag::OCTET_STRING)?,
            mic: field(3, tag::OCTET_STRING)?,
        };
        fields.is_empty().then_some(token)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let mut push = |number, content_tag, content: &[u8]| {
            fields.extend(der::wrap(tag::context(number), &der::wrap(content_tag, content)));
        };
        if let Some(state) = self.state {
            push(0, tag::ENUMERATED, &[state.to_wire()]);
        }
        if let Some(mechanism) = self.mechanism {
            push(1, tag::OBJECT_IDENTIFIER, mechanism);
        }
        if let Some(response) = self.response {
            push(2, tag::OCTET_STRING, response);
        }
        if let Some(mic) = self.mic {
            push(3, tag::OCTET_STRING, mic);
        }
        der::wrap(tag::context(1), &der::wrap(tag::SEQUENCE, &fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;
    use proptest::prelude::*;

    /// A NegTokenInit that offers NTLM alone, with "NTLMSSP" as its token, by the layout of wire.md 2.13.
    const INIT: &str = "602b 0606 2b0601050502 a021 301f a00e 300c 060a 2b06010401823702020a
        a20d 040b 4e544c4d53535000010000";

    #[test]
    fn parses_an_init() {
        let token = hex(INIT);
        let init = NegTokenInit::parse(&token).unwrap();
        assert_eq!(init.mechanisms, [oid::NTLM]);
        assert_eq!(init.mechanism_list, hex("300c060a2b06010401823702020a"));
        assert_eq!(init.mech_token.map(<[u8]>::len), Some(11));
    }

    #[test]
    fn an_init_is_written_as_it_is_read() {
        let list = mechanism_list(&[oid::NTLM]);
        let token = hex(INIT);
        let init = NegTokenInit::parse(&token).unwrap();
        assert_eq!(encode_init(&list, init.mech_token.unwrap()), token);
    }

    #[test]
    fn every_truncation_and_every_tail_is_refused() {
        let token = hex(INIT);
        for length in 0..token.len() {
            assert!(NegTokenInit::parse(&token[..length]).is_err(), "{length}");
        }
        let mut longer = token.clone();
        longer.push(0);
        assert!(NegTokenInit::parse(&longer).is_err());

        let resp = hex("a1073005a0030a0101");
        assert!(NegTokenResp::parse(&resp).is_ok());
        for length in 0..resp.len() {
            assert!(NegTokenResp::parse(&resp[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn no_mechanism_and_too_many_mechanisms_are_refused() {
        let init = |list: &[u8]| {
            let fields = der::wrap(tag::context(0), &der::wrap(tag::SEQUENCE, list));
            let choice = der::wrap(tag::context(0), &der::wrap(tag::SEQUENCE, &fields));
            let frame = [der::wrap(tag::OBJECT_IDENTIFIER, oid::SPNEGO), choice].concat();
            der::wrap(tag::APPLICATION, &frame)
        };
        let one = der::wrap(tag::OBJECT_IDENTIFIER, oid::NTLM);
        assert!(NegTokenInit::parse(&init(&[])).is_err());
        assert!(NegTokenInit::parse(&init(&one.repeat(MOST_MECHANISMS))).is_ok());
        assert!(NegTokenInit::parse(&init(&one.repeat(MOST_MECHANISMS + 1))).is_err());
    }

    #[test]
    fn fields_out_of_order_or_repeated_are_refused() {
        for wrong in [
            "a10e300c a0030a0101 a0030a0101",
            "a10c300a a2030401ff a0030a0101",
            "a1073005a0030a0104",
            "a1083006a0040a020001",
        ] {
            assert!(NegTokenResp::parse(&hex(wrong)).is_err(), "{wrong}");
        }
    }

    /// RFC 4178 4.2.2: every field is optional, negState too; impacket leaves it out.
    #[test]
    fn a_resp_without_state_parses() {
        let resp = hex("a109 3007 a205 0403 010203");
        assert_eq!(
            NegTokenResp::parse(&resp).unwrap(),
            NegTokenResp { response: Some(&[1, 2, 3]), ..NegTokenResp::default() }
        );
        assert_eq!(NegTokenResp::parse(&hex("a1023000")).unwrap(), NegTokenResp::default());
    }

    proptest! {
        #[test]
        fn a_resp_reads_back(
            state in prop::option::of(prop::sample::select(vec![
                NegState::AcceptCompleted, NegState::AcceptIncomplete, NegState::Reject, NegState::RequestMic,
            ])),
            response in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
            mic in prop::option::of(prop::collection::vec(any::<u8>(), 16..17)),
        ) {
            let resp = NegTokenResp { state, mechanism: Some(oid::NTLM), response: response.as_deref(), mic: mic.as_deref() };
            let token = resp.encode();
            prop_assert_eq!(NegTokenResp::parse(&token).unwrap(), resp);
        }
    }
}
