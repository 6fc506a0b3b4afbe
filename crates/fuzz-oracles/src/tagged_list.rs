//! The string lists of the backup calls, and `certbkxp.dat` (certbcli.md 5, D23; wire.md 5.5).

use certadm_rules::{PlainList, Tag, TaggedList};

pub(crate) fn run(data: &[u8]) {
    if let Ok(list) = TaggedList::decode_file(data) {
        assert!(list.database().is_some());
        assert_eq!(list.to_bytes(), data, "a file has one form only");
    }
    let units: Vec<u16> = data.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    if let Ok(list) = TaggedList::decode_wire(&units) {
        check_tagged(&list);
    }
    if let Ok(list) = PlainList::decode_wire(&units) {
        assert_eq!(PlainList::decode_wire(&list.to_units()).as_ref(), Ok(&list));
        assert_eq!(list.to_bytes().len(), 2 * list.to_units().len());
        assert_eq!(PlainList::new(list.paths().to_vec()).as_ref(), Ok(&list));
    }
}

fn check_tagged(list: &TaggedList) {
    let units = list.to_units();
    assert_eq!(TaggedList::decode_wire(&units).as_ref(), Ok(list));
    assert_eq!(units.is_empty(), list.is_empty());
    for entry in list.entries() {
        assert_eq!(Tag::from_unit(entry.tag().unit()), Some(entry.tag()));
        assert!(!entry.path().is_empty() && !entry.path().contains('\0'));
    }
    let bytes = list.to_bytes();
    assert_eq!(bytes.len(), 2 * units.len());
    // Strict where a file is read: the same list, if it names a database.
    match TaggedList::decode_file(&bytes) {
        Ok(read) => assert_eq!(&read, list),
        Err(error) => assert!(list.database().is_none(), "{error}"),
    }
}
