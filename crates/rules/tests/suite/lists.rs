//! The string lists, against the vectors of certbcli.md 5 and 18 and against random lists.

use certadm_rules::list::{EntryError, ListError, MAX_LIST_UNITS};
use certadm_rules::wide::WideError;
use certadm_rules::{Entry, Hresult, PlainList, Tag, TaggedList};
use proptest::prelude::*;

fn list(entries: &[(Tag, &str)]) -> TaggedList {
    TaggedList::new(entries.iter().map(|&(tag, path)| Entry::new(tag, path).unwrap()).collect())
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The restore map of certbcli.md 5.
fn restore_map() -> TaggedList {
    list(&[
        (Tag::Database, r"\\PKI-SRV01.corp.cvilab.local\C$\Windows\system32\CertLog\CVI Issuing CA 1.edb"),
        (Tag::LogDirectory, r"\\PKI-SRV01.corp.cvilab.local\C$\Windows\system32\CertLog"),
        (Tag::CheckpointDirectory, r"\\PKI-SRV01.corp.cvilab.local\C$\Windows\system32\CertLog"),
    ])
}

#[test]
fn tags_are_the_sums_of_their_flags() {
    let tags = [
        (Tag::Log, 0x01 | 0x20),
        (Tag::LogDirectory, 0x02 | 0x80),
        (Tag::CheckpointDirectory, 0x03 | 0x80),
        (Tag::Database, 0x04 | 0x40),
        (Tag::PatchFile, 0x05 | 0x20),
    ];
    for (tag, unit) in tags {
        assert_eq!(tag.unit(), unit);
        assert_eq!(Tag::from_unit(unit), Some(tag));
    }
}

#[test]
fn every_unit_is_a_tag_except_nul_and_surrogates() {
    for unit in 0..=u16::MAX {
        match Tag::from_unit(unit) {
            Some(tag) => assert_eq!(tag.unit(), unit),
            None => assert!(unit == 0 || (0xD800..=0xDFFF).contains(&unit)),
        }
    }
}

#[test]
fn encodes_one_database_entry() {
    let database = list(&[(Tag::Database, r"\\H\S\d.edb")]);
    let expected = [
        0x44, 0, 0x5C, 0, 0x5C, 0, 0x48, 0, 0x5C, 0, 0x53, 0, 0x5C, 0, 0x64, 0, 0x2E, 0, 0x65, 0, 0x64, 0,
        0x62, 0, 0, 0, 0, 0,
    ];
    assert_eq!(database.to_bytes(), expected);
    assert_eq!(TaggedList::decode_file(&expected), Ok(database));
}

#[test]
fn encodes_the_restore_map_of_398_bytes() {
    let encoded = restore_map().to_bytes();
    assert_eq!(encoded.len(), 398);
    assert_eq!(encoded[..12], [0x44, 0, 0x5C, 0, 0x5C, 0, 0x50, 0, 0x4B, 0, 0x49, 0]);
    assert_eq!(TaggedList::decode_file(&encoded), Ok(restore_map()));
}

#[test]
fn the_empty_list_has_no_units() {
    assert_eq!(TaggedList::default().to_units(), []);
    assert_eq!(PlainList::default().to_bytes(), []);
    for empty in [&[][..], &[0], &[0, 0]] {
        assert_eq!(TaggedList::decode_wire(empty), Ok(TaggedList::default()));
        assert_eq!(PlainList::decode_wire(empty), Ok(PlainList::default()));
    }
}

#[test]
fn the_wire_may_leave_out_the_last_nuls() {
    let complete = units("D\\\\h\\s\\a.edb\0");
    for wire in
        ["D\\\\h\\s\\a.edb", "D\\\\h\\s\\a.edb\0", "D\\\\h\\s\\a.edb\0\0", "\0\0D\\\\h\\s\\a.edb\0\0\0\0"]
    {
        let decoded = TaggedList::decode_wire(&units(wire)).unwrap();
        assert_eq!(decoded, list(&[(Tag::Database, r"\\h\s\a.edb")]), "{wire:?}");
        assert_eq!(decoded.to_units(), [&complete[..], &[0]].concat());
    }
    let plain = PlainList::decode_wire(&units("\\\\h\\s\\a.crl\0\0\\\\h\\s\\b.crl")).unwrap();
    assert_eq!(plain.paths(), [r"\\h\s\a.crl", r"\\h\s\b.crl"]);
}

#[test]
fn a_log_entry_stands_in_for_the_log_folder() {
    let official = list(&[(Tag::Log, r"\\h\s\other"), (Tag::LogDirectory, r"\\h\s\log")]);
    assert_eq!(official.log_directory(), Some(r"\\h\s\log"));
    let other = list(&[
        (Tag::Database, r"\\h\s\d"),
        (Tag::Log, r"\\h\s\log"),
        (Tag::CheckpointDirectory, r"\\h\s\sys"),
    ]);
    assert_eq!(other.log_directory(), Some(r"\\h\s\log"));
    assert_eq!(other.database(), Some(r"\\h\s\d"));
    assert_eq!(other.checkpoint_directory(), Some(r"\\h\s\sys"));
    assert_eq!(TaggedList::default().log_directory(), None);
}

#[test]
fn unknown_tags_are_kept_and_ignored() {
    let file = bytes("D\\\\h\\s\\a.edb\0\u{90}\\\\h\\s\\what\0\0");
    let decoded = TaggedList::decode_file(&file).unwrap();
    assert_eq!(decoded.entries().len(), 2);
    assert_eq!(decoded.entries()[1].tag().unit(), 0x90);
    assert_eq!(decoded.log_directory(), None);
    assert_eq!(decoded.to_bytes(), file);
}

#[test]
fn a_file_is_read_strictly() {
    let no_path = |index| ListError::Entry { index, source: EntryError::Empty };
    let cases = [
        (vec![], ListError::Unterminated),
        (vec![0x44], ListError::OddLength { bytes: 1 }),
        (bytes("D\\\\h\\s\\a.edb\0"), ListError::Unterminated),
        (bytes("\0"), ListError::Unterminated),
        (bytes("\0\0"), no_path(0)),
        (bytes("Da\0\0Db\0\0"), no_path(1)),
        (bytes("Da\0\0\0"), no_path(1)),
        (bytes("D\0\0"), no_path(0)),
        (bytes("\u{82}a\0\u{83}b\0\0"), ListError::NoDatabase),
        (bytes("\u{10000}a\0\0"), ListError::Tag { index: 0, unit: 0xD800 }),
    ];
    for (file, expected) in cases {
        let error = TaggedList::decode_file(&file).unwrap_err();
        assert_eq!(error, expected, "{file:02x?}");
        assert_eq!(error.hresult(), Hresult::ERROR_INVALID_DATA);
    }
}

#[test]
fn refuses_surrogate_halves_and_overlong_paths() {
    let half = [0x44, 0x61, 0xDC00, 0, 0];
    let source = EntryError::Path(WideError::UnpairedSurrogate { unit: 1 });
    assert_eq!(TaggedList::decode_wire(&half), Err(ListError::Entry { index: 0, source }));
    assert_eq!(PlainList::decode_wire(&half[1..]), Err(ListError::Entry { index: 0, source }));

    let longest = "a".repeat(32_767);
    let entry = Entry::new(Tag::Log, longest.clone()).unwrap();
    let encoded = TaggedList::new(vec![entry.clone()]).to_units();
    assert_eq!(TaggedList::decode_wire(&encoded).unwrap().entries(), [entry]);
    let too_long = EntryError::Path(WideError::TooLong { units: 32_768 });
    assert_eq!(Entry::new(Tag::Log, longest + "a"), Err(too_long));
    let wire = vec![0x21; 32_769];
    assert_eq!(TaggedList::decode_wire(&wire), Err(ListError::Entry { index: 0, source: too_long }));
}

#[test]
fn refuses_what_cannot_be_an_entry() {
    let nul = EntryError::Path(WideError::Nul { unit: 1 });
    assert_eq!(Entry::new(Tag::Log, ""), Err(EntryError::Empty));
    assert_eq!(Entry::new(Tag::Log, "a\0b"), Err(nul));
    assert_eq!(PlainList::new(vec!["a".into(), "b\0".into()]), Err(nul));
    assert_eq!(nul.hresult(), Hresult::E_INVALIDARG);
}

#[test]
fn the_length_of_a_list_is_capped() {
    let longer = vec![0; MAX_LIST_UNITS + 1];
    let error = ListError::TooLong { units: MAX_LIST_UNITS + 1 };
    assert_eq!(TaggedList::decode_wire(&longer), Err(error.clone()));
    assert_eq!(PlainList::decode_wire(&longer), Err(error));
    assert_eq!(TaggedList::decode_wire(&longer[1..]), Ok(TaggedList::default()));
}

fn any_tag() -> impl Strategy<Value = Tag> {
    prop_oneof![
        Just(Tag::Database),
        Just(Tag::Log),
        any::<u16>().prop_filter_map("not a tag", Tag::from_unit),
    ]
}

fn any_path() -> impl Strategy<Value = String> {
    "[^\0]{1,40}"
}

proptest! {
    #[test]
    fn every_list_survives_the_wire(entries in proptest::collection::vec((any_tag(), any_path()), 0..8)) {
        let list = TaggedList::new(entries.into_iter().map(|(tag, path)| Entry::new(tag, path).unwrap()).collect());
        let encoded = list.to_units();
        let size: usize = list.entries().iter().map(|entry| 1 + entry.path().encode_utf16().count() + 1).sum();
        prop_assert_eq!(encoded.len(), if list.is_empty() { 0 } else { size + 1 });
        prop_assert_eq!(TaggedList::decode_wire(&encoded), Ok(list.clone()));
        let file = TaggedList::decode_file(&list.to_bytes());
        match list.database() {
            Some(_) => prop_assert_eq!(file, Ok(list)),
            None => prop_assert!(file.is_err()),
        }
    }

    #[test]
    fn every_plain_list_survives_the_wire(paths in proptest::collection::vec(any_path(), 0..8)) {
        let list = PlainList::new(paths).unwrap();
        prop_assert_eq!(PlainList::decode_wire(&list.to_units()), Ok(list));
    }

    #[test]
    fn what_a_file_decodes_to_encodes_to_the_same_file(
        units in proptest::collection::vec(prop_oneof![Just(0u16), Just(0x44), Just(0xD800), any::<u16>()], 0..24),
    ) {
        let file: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        if let Ok(list) = TaggedList::decode_file(&file) {
            prop_assert_eq!(list.to_bytes(), file);
        }
        if let Ok(list) = TaggedList::decode_wire(&units) {
            prop_assert_eq!(TaggedList::decode_wire(&list.to_units()), Ok(list));
        }
    }
}
