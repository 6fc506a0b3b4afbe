//! 460 stubs that another implementation encoded (`data/README.md`): each decodes to the value that was encoded, to its last
//! byte, and is encoded as the same bytes again.

use std::collections::BTreeSet;

use certadm_wire::csra::{Interface, Method, OtherRequest, OtherResponse, Request, RequestError, Response};
use certadm_wire::dcom::{OrpcThat, OrpcThis};
use certadm_wire::ndr::{ByteOrder, FIRST_REFERENT, Reader, Writer};

/// What stands before a VARIANT of ours.
const MARKER: u32 = 0x7265_7355;

/// A request as its value, and encoded again.
fn request_again(opnum: u16, stub: &[u8], last: &mut Option<Request>) -> (String, Vec<u8>) {
    let mut reader = Reader::new(stub, ByteOrder::Little);
    let this = OrpcThis::read(&mut reader).unwrap();
    let mut writer = Writer::new();
    this.write(&mut writer);
    let parameters = reader.clone();
    let shown = match Request::read(Interface::CertAdmin2, opnum, &mut reader) {
        Ok(request) => {
            request.write(&mut writer);
            let shown = format!("{request:?}");
            *last = Some(request);
            shown
        }
        Err(RequestError::NotBackup { .. }) => {
            reader = parameters;
            let request = OtherRequest::read(Interface::CertAdmin2, opnum, &mut reader).unwrap();
            request.write(&mut writer);
            format!("{request:?}")
        }
        Err(error) => panic!("{opnum}: {error}"),
    };
    // What follows the flags of BackupPrepare is not looked at (wire.md 3.2).
    assert!(opnum == 20 || reader.remaining().is_empty(), "{opnum}: {:?}", reader.remaining());
    (shown, writer.into_bytes())
}

fn response_again(method: Method, stub: &[u8], request: Option<&Request>) -> (String, Vec<u8>) {
    let mut reader = Reader::new(stub, ByteOrder::Little);
    OrpcThat::read(&mut reader).unwrap();
    let mut writer = Writer::new();
    OrpcThat::CALL.write(&mut writer);
    let shown = match request.filter(|request| request.opnum() == method.opnum()) {
        Some(request) => {
            let response = Response::read(request, &mut reader).unwrap();
            response.write(&mut writer);
            format!("{response:?}")
        }
        None => {
            let response = OtherResponse::read(method, &mut reader).unwrap().unwrap();
            response.write(&mut writer);
            format!("{response:?}")
        }
    };
    assert!(reader.remaining().is_empty(), "{}: {:?}", method.opnum(), reader.remaining());
    (shown, writer.into_bytes())
}

/// Whether two stubs differ in nothing but the numbers of pointers that are not NULL, which every writer chooses, and the
/// size of a VARIANT, which the other one leaves out.
fn same_but_for_referents(ours: &[u8], theirs: &[u8]) -> bool {
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes
            .chunks(4)
            .map(|word| word.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
            .collect()
    };
    let is_referent = |word: u32| word == MARKER || (FIRST_REFERENT..FIRST_REFERENT + 0x1000).contains(&word);
    let our_words = words(ours);
    let is_size = |place: usize| our_words[place.saturating_sub(2)..place].contains(&MARKER);
    ours.len() == theirs.len()
        && our_words.iter().zip(words(theirs)).enumerate().all(|(place, (our, their))| {
            *our == their || is_referent(*our) && their != 0 || is_size(place) && their == 0
        })
}

#[test]
fn stubs_of_another_implementation_decode_and_encode() {
    let (mut methods, mut stubs, mut last) = (BTreeSet::new(), 0, None);
    for line in include_str!("../data/csra-stubs.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [opnum, name, direction, stub, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (opnum, stub) = (opnum.parse().unwrap(), crate::common::hex(stub));
        let method = Method::from_opnum(Interface::CertAdmin2, opnum).unwrap();
        let (shown, again) = match direction {
            "request" => request_again(opnum, &stub, &mut last),
            _ => response_again(method, &stub, last.as_ref()),
        };
        assert_eq!(shown, expected, "{name}");
        assert!(same_but_for_referents(&again, &stub), "{name} {direction}:\n{again:02x?}\n{stub:02x?}");
        methods.insert(opnum);
        stubs += 1;
    }
    assert_eq!((stubs, methods), (460, (3..=48).collect()));
}
