//! The properties of a CA by their numbers (WCCE 3.2.1.4.3.2).

/// A number, which is answered as CAINFO; with an index, an array of bytes or numbers (wire.md 5.12).
pub const LONG: i32 = 1;
/// Bytes.
pub const BINARY: i32 = 3;
/// A string.
pub const TEXT: i32 = 4;

/// The index of the newest certificate or CRL.
pub const NEWEST: i32 = -1;

/// A property of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its number.
    pub id: i32,
    /// Its name for people.
    pub name: &'static str,
    /// [`LONG`], [`BINARY`] or [`TEXT`].
    pub kind: i32,
    /// Whether it has several values.
    pub is_indexed: bool,
}

const fn single(id: i32, name: &'static str, kind: i32) -> Property {
    Property { id, name, kind, is_indexed: false }
}

const fn indexed(id: i32, name: &'static str, kind: i32) -> Property {
    Property { id, name, kind, is_indexed: true }
}

/// Declares a constant for each property, and the list of all.
macro_rules! properties {
    ($( $constant:ident = $make:ident($id:literal, $name:literal, $kind:ident); )+) => {
        $(
            #[doc = concat!("Number ", stringify!($id), ": ", $name, ".")]
            pub const $constant: Property = $make($id, $name, $kind);
        )+

        /// Those that this program knows, by their numbers.
        pub const ALL: &[Property] = &[$( $constant ),+];
    };
}

properties! {
    FILE_VERSION = single(1, "File Version", TEXT);
    PRODUCT_VERSION = single(2, "Product Version", TEXT);
    EXIT_COUNT = single(3, "Exit Count", LONG);
    EXIT_DESCRIPTION = indexed(4, "Exit Description", TEXT);
    POLICY_DESCRIPTION = single(5, "Policy Description", TEXT);
    CA_NAME = single(6, "CA Name", TEXT);
    SANITIZED_NAME = single(7, "Sanitized CA Name", TEXT);
    CA_TYPE = single(10, "CA Type", LONG);
    CERTIFICATE_COUNT = single(11, "CA Certificate Count", LONG);
    CERTIFICATE = indexed(12, "CA Certificate", BINARY);
    CHAIN = indexed(13, "CA Certificate Chain", BINARY);
    EXCHANGE_COUNT = single(14, "CA Exchange Certificate Count", LONG);
    BASE_CRL = indexed(17, "Base CRL", BINARY);
    DELTA_CRL = indexed(18, "Delta CRL", BINARY);
    CERTIFICATE_STATES = indexed(19, "CA Certificate State", LONG);
    CRL_STATES = indexed(20, "CRL State", LONG);
    HIGHEST = single(21, "Maximum Property Id", LONG);
    DNS_NAME = single(22, "DNS Name", TEXT);
    ROLE_SEPARATION = single(23, "Role Separation Enabled", LONG);
    KRA_USED = single(24, "KRA Certificates Used Count", LONG);
    KRA_COUNT = single(25, "KRA Certificate Count", LONG);
    KRA_CERTIFICATE = indexed(26, "KRA Certificate", BINARY);
    KRA_STATES = indexed(27, "KRA Certificate State", LONG);
    ADVANCED = single(28, "Advanced Server", LONG);
    TEMPLATES = single(29, "Templates", TEXT);
    CHAIN_AND_CRLS = indexed(32, "CA Certificate Chain and CRLs", BINARY);
    FORWARD_CROSS = indexed(35, "Forward Cross Certificate", BINARY);
    BACKWARD_CROSS = indexed(36, "Backward Cross Certificate", BINARY);
    CERTIFICATE_VERSIONS = indexed(39, "CA Certificate Version", LONG);
    SHORT_NAME = single(40, "Sanitized CA Short Name", TEXT);
    CDP_URLS = indexed(41, "CRL URLs", TEXT);
    AIA_URLS = indexed(42, "CA Certificate URLs", TEXT);
    OCSP_URLS = indexed(43, "OCSP URLs", TEXT);
    LOCALE = single(44, "Locale", TEXT);
    SUBJECT_TEMPLATE = single(45, "Subject Template", TEXT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stand_in_the_order_of_their_numbers() {
        assert!(ALL.is_sorted_by(|one, other| one.id < other.id));
        assert!(ALL.iter().all(|property| [LONG, BINARY, TEXT].contains(&property.kind)));
    }
}
