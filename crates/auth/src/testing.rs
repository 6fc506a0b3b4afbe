//! Published vectors and small helpers for the unit tests of this crate.

/// Bytes of a hex text; blanks are skipped.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Sixteen bytes of a hex text.
pub(crate) fn hex16(text: &str) -> [u8; 16] {
    hex(text).try_into().unwrap()
}

/// MS-NLMP 4.2.4: user "User", password "Password", domain "Domain", exported key 55*16 (wire.md 2.12, vector A).
pub(crate) mod vector_a {
    pub(crate) const SERVER_CHALLENGE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];

    /// `temp` of the NTLMv2 response: time 0, client challenge aa*8, domain and server names.
    pub(crate) const TEMP: &str = "01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000
        02000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000";

    /// CHALLENGE as printed in MS-NLMP 4.2.4.3.
    pub(crate) const CHALLENGE: &str = "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef
        00000000000000002400240044000000060070170000000f530065007200760065007200
        02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000";

    /// AUTHENTICATE as printed in MS-NLMP 4.2.4.3.
    pub(crate) const AUTHENTICATE: &str = "4e544c4d5353500003000000180018006c00000054005400840000000c000c00
        480000000800080054000000100010005c00000010001000d8000000358288e2
        0501280a0000000f44006f006d00610069006e0055007300650072004300
        4f004d0050005500540045005200
        86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa
        68cd0ab851e51c96aabc927bebef6a1c
        01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000
        02000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000
        c5dad2544fc9799094ce1ce90bc9d03e";
}

/// MS-NLMP 4.2.2: an AUTHENTICATE of NTLMv1, which must be refused.
pub(crate) const AUTHENTICATE_V1: &str = "4e544c4d5353500003000000180018006c0000001800180084000000
    0c000c00480000000800080054000000100010005c000000100010009c000000358280e2
    0501280a0000000f44006f006d00610069006e0055007300650072004300
    4f004d0050005500540045005200
    98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13
    67c43011f30298a2ad35ece64f16331c44bdbed927841f94518822b1b3f350c8958682ecbb3e3cb7";
