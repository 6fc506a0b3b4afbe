//! Numbers of a CA database in words (ese.md 12, RFC 5280 5.3.1).

/// What became of a request.
pub fn disposition(number: i64) -> Option<&'static str> {
    Some(match number {
        8 => "active",
        9 => "pending",
        12 => "foreign",
        15 => "CA certificate",
        16 => "CA certificate chain",
        17 => "KRA certificate",
        20 => "issued",
        21 => "revoked",
        30 => "failed",
        31 => "denied",
        _ => return None,
    })
}

/// Why a certificate was revoked.
pub fn revocation_reason(number: i64) -> Option<&'static str> {
    Some(match number {
        0 => "unspecified",
        1 => "key compromise",
        2 => "CA compromise",
        3 => "affiliation changed",
        4 => "superseded",
        5 => "cessation of operation",
        6 => "certificate hold",
        8 => "remove from CRL",
        9 => "privilege withdrawn",
        10 => "AA compromise",
        -1 => "released from hold",
        _ => return None,
    })
}

/// The form of a request; the second word tells a full response from a simple one.
pub fn request_type(number: i64) -> Option<&'static str> {
    const FULL_RESPONSE: i64 = 0x4_0000;
    let full = number & FULL_RESPONSE != 0;
    Some(match (number & 0xFF00, full) {
        (0x100, false) => "PKCS #10",
        (0x100, true) => "PKCS #10, full response",
        (0x200, false) => "KeyGen",
        (0x200, true) => "KeyGen, full response",
        (0x300, false) => "PKCS #7",
        (0x300, true) => "PKCS #7, full response",
        (0x400, false) => "CMC",
        (0x400, true) => "CMC, full response",
        _ => return None,
    })
}

/// Where an extension came from, and its two flags.
pub fn extension_flags(number: i64) -> Option<String> {
    const CRITICAL: i64 = 1;
    const DISABLED: i64 = 2;
    let origin = match number >> 16 {
        1 => "request",
        2 => "policy",
        3 => "administrator",
        4 => "server",
        5 => "renewal certificate",
        6 => "imported certificate",
        7 => "PKCS #7",
        8 => "CMC",
        9 => "CA certificate",
        _ => return None,
    };
    let mut words = format!("origin {origin}");
    if number & CRITICAL != 0 {
        words.push_str(", critical");
    }
    if number & DISABLED != 0 {
        words.push_str(", disabled");
    }
    Some(words)
}

/// What kind of list was published; further bits have no known meaning.
pub fn crl_flags(number: i64) -> Option<&'static str> {
    match number & 3 {
        1 => Some("base"),
        2 => Some("delta"),
        _ => None,
    }
}

/// Yes or no.
pub fn truth(number: i64) -> Option<&'static str> {
    match number {
        0 => Some("no"),
        1 => Some("yes"),
        _ => None,
    }
}
