//! Signatures of sets, and the lists of those whose signatures count (docs/set-format.md, "manifest.json.sig").

use certadm_rules::FileTime;
use certadm_set::signing::{AllowedSigners, ManifestSignature};

const MANIFEST: &[u8] = b"a manifest";
const LIST: &str = "one@ca namespaces=\"certadm-manifest\" ssh-ed25519 \
                    AAAAC3NzaC1lZDI1NTE5AAAAIOY1c8j6dL/pCelQT7Pu7HsVHNUEhekuTzsIPAUV7OK1\n";
/// The only signature of that manifest by that key, with the hash that everybody takes.
const SIGNATURE: &str = include_str!("set_signature.sig");

/// The first octet says what the rest is: 0 a signature, else a list.
pub(crate) fn run(data: &[u8]) {
    match data.split_first() {
        Some((0, rest)) => signature(rest),
        Some((_, rest)) => list(rest),
        None => {}
    }
}

/// A signature counts only if it is the one that the key made.
fn signature(text: &[u8]) {
    let Ok(signature) = ManifestSignature::parse(text) else { return };
    assert!(signature.key().starts_with("SHA256:"));
    let list = AllowedSigners::parse(LIST.as_bytes()).expect("the list is one");
    let now = FileTime::from_unix_seconds(1_800_000_000);
    if let Ok(by) = list.judge(MANIFEST, &signature, now) {
        assert_eq!((by.principals.as_str(), by.line), ("one@ca", 1));
        let text = std::str::from_utf8(text).expect("what was parsed is text").replace("\r\n", "\n");
        assert_eq!(text.trim_ascii_end(), SIGNATURE.trim_ascii_end(), "a signature has one form");
        assert!(list.judge(b"another manifest", &signature, now).is_err());
        assert!(list.only("two@ca").judge(MANIFEST, &signature, now).is_err());
    }
}

/// A list means the same with a comment behind it, and one wrong line makes it useless.
fn list(text: &[u8]) {
    let Ok(list) = AllowedSigners::parse(text) else { return };
    let with = |more: &[u8]| AllowedSigners::parse(&[text, more].concat());
    assert_eq!(with(b"\n# nobody\n\n").as_ref(), Ok(&list));
    assert!(with(b"\nnobody\n").is_err());
    let good = ManifestSignature::parse(SIGNATURE.as_bytes()).expect("it is one");
    for seconds in [1, 1_800_000_000, 10_000_000_000] {
        let now = FileTime::from_unix_seconds(seconds);
        // Whoever the list lets sign is in it by the key, and a name that is asked for is not admitted where nobody is.
        if let Ok(by) = list.judge(MANIFEST, &good, now) {
            let line = text.split(|byte| *byte == b'\n').nth(by.line - 1).expect("the line is there");
            let key = b"AAAAC3NzaC1lZDI1NTE5AAAAIOY1c8j6dL/pCelQT7Pu7HsVHNUEhekuTzsIPAUV7OK1";
            assert!(line.windows(key.len()).any(|part| part == key), "the line names the key");
        } else {
            assert!(list.clone().only("one@ca").judge(MANIFEST, &good, now).is_err());
        }
    }
}
