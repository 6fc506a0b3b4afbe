//! `VAULT:CA/POINT`: the address of a set in a repository (repository.md 5).

use std::fmt;

use certadm_rules::names::{folder_name, is_safe_component, sanitize};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::error::{Error, Result};
use crate::generation;

/// The shortest beginning of an id that names a set.
const MIN_ID: usize = 6;
/// The hexadecimal digits of a whole id.
const MAX_ID: usize = 64;

/// The address of a set, or of the sets that a restore needs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The vault's name in `repositories.toml`.
    pub vault: String,
    /// The CA's name, sanitized; `None` where the vault keeps only one.
    pub ca: Option<String>,
    /// Which of its sets.
    pub point: Selector,
    /// Whether that was written. Where it was not, the newest state is meant, or the whole repository.
    pub names_point: bool,
}

/// Which of a CA's sets is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// `latest`: the newest state that can be restored, with everything that it needs.
    #[default]
    Latest,
    /// `latest-full`: the newest full set.
    LatestFull,
    /// An id, or its beginning: that set, and what it needs.
    Id(String),
    /// `=ID`: that set alone.
    Alone(String),
    /// A time: the newest set of that time or before, and what it needs. Seconds since 1970, UTC.
    At(i64),
    /// `gen:1f3`: the newest set that holds this generation, and what it needs.
    Generation(u32),
}

impl Address {
    /// Reads an address; `None` when the text is a path. An address begins with two or more letters, digits or marks `-` and
    /// `_`, and a colon: so `C:\\backup`, `./a:b` and `/a:b` are paths.
    ///
    /// # Errors
    /// [`Error::Address`] when it begins as an address and is none.
    pub fn parse(text: &str) -> Option<Result<Self>> {
        let (vault, rest) = text.split_once(':')?;
        let is_name = |name: &str| {
            name.len() >= 2
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        is_name(vault).then(|| Self::parse_rest(text, vault, rest))
    }

    fn parse_rest(text: &str, vault: &str, rest: &str) -> Result<Self> {
        let wrong = |detail: &str| Error::Address { text: text.to_owned(), detail: detail.to_owned() };
        let (ca, point, written) = match rest.rsplit_once('/') {
            Some((ca, point)) => (Some(ca), Selector::parse(point).map_err(|detail| wrong(&detail))?, point),
            // Without a slash it is a point where it can be one, and else a CA.
            None => match Selector::parse(rest) {
                Ok(point) => (None, point, rest),
                Err(_) => (Some(rest), Selector::Latest, ""),
            },
        };
        let ca = ca.filter(|ca| !ca.is_empty()).map(folder_of).transpose();
        let ca = ca.map_err(|detail| wrong(&detail))?;
        Ok(Self { vault: vault.to_owned(), ca, point, names_point: !written.is_empty() })
    }
}

/// Names of CAs as an address has them: one that could be a point has a slash behind it.
pub(crate) fn written(cas: &[String]) -> String {
    let written = |ca: &String| if Selector::parse(ca).is_ok() { format!("{ca}/") } else { ca.clone() };
    cas.iter().map(written).collect::<Vec<_>>().join(", ")
}

/// The folder of a CA in a vault: its sanitized name, and behind it the number of its repository where one is named.
///
/// # Errors
/// A sentence, when the name can be no folder.
pub(crate) fn folder_of(ca: &str) -> std::result::Result<String, String> {
    if let (ca, Some(number)) = generation::split(ca) {
        return Ok(generation::name(&plain_folder_of(ca)?, number));
    }
    plain_folder_of(ca)
}

fn plain_folder_of(ca: &str) -> std::result::Result<String, String> {
    // A name that is sanitized already stays as it is.
    let is_sanitized = certadm_rules::names::unsanitize(ca) != ca;
    let name = folder_name(&if is_sanitized { ca.to_owned() } else { sanitize(ca) });
    match is_safe_component(&name) && !name.starts_with('.') {
        true => Ok(name),
        false => Err(format!("{ca:?} can be no CA's name")),
    }
}

impl Selector {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let is_id = |id: &str| {
            (MIN_ID..=MAX_ID).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        match text {
            "" | "latest" => return Ok(Self::Latest),
            "latest-full" => return Ok(Self::LatestFull),
            _ => {}
        }
        if let Some(id) = text.strip_prefix('=') {
            return if is_id(id) { Ok(Self::Alone(id.to_owned())) } else { Err(which_points(text)) };
        }
        if let Some(number) = text.strip_prefix("gen:") {
            let digits = number.strip_prefix("0x").unwrap_or(number);
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| plain);
            return number.map(Self::Generation).ok_or_else(|| which_points(text));
        }
        if let Some(seconds) = seconds_of(text) {
            return Ok(Self::At(seconds));
        }
        if is_id(text) { Ok(Self::Id(text.to_owned())) } else { Err(which_points(text)) }
    }
}

fn which_points(text: &str) -> String {
    format!("{text:?} is none of: latest, latest-full, an id, =ID, gen:1f3, 2026-11-27T07:22")
}

/// A time in UTC: a date, or with hours and minutes, or with seconds. A day means its end.
fn seconds_of(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let full = match text.len() {
        10 => format!("{text}T23:59:59"),
        16 => format!("{text}:59"),
        _ => text.to_owned(),
    };
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let time = PrimitiveDateTime::parse(&full, form).ok()?;
    Some(OffsetDateTime::unix_timestamp(time.assume_utc()))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.vault)?;
        if let Some(ca) = &self.ca {
            write!(f, "{ca}/")?;
        }
        write!(f, "{}", self.point)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::LatestFull => f.write_str("latest-full"),
            Self::Id(id) => f.write_str(id),
            Self::Alone(id) => write!(f, "={id}"),
            Self::Generation(number) => write!(f, "gen:{number:x}"),
            Self::At(seconds) => {
                let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
                let time = OffsetDateTime::from_unix_timestamp(*seconds).ok();
                f.write_str(&time.and_then(|time| time.format(form).ok()).unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap().unwrap()
    }

    #[test]
    fn an_address_has_a_vault_and_may_have_a_ca_and_a_point() {
        let all = address("vault:Example CA/gen:1f3");
        assert_eq!(all.ca.as_deref(), Some("Example CA"));
        assert_eq!(all.point, Selector::Generation(0x1f3));
        assert_eq!(address("vault:").point, Selector::Latest);
        assert_eq!(
            address("vault:latest-full"),
            Address { point: Selector::LatestFull, names_point: true, ..address("vault:") }
        );
        // A repository is not one of its sets.
        for (text, names_point) in [
            ("vault:", false),
            ("vault:Sub-latest", false),
            ("vault:facade/", false),
            ("vault:facade", true),
            ("vault:latest", true),
            ("vault:CA/latest", true),
        ] {
            assert_eq!(address(text).names_point, names_point, "{text}");
        }
        assert_eq!(address("vault:Example CA").ca.as_deref(), Some("Example CA"));
        assert_eq!(address("vault:Example (CA)!n2/latest").ca.as_deref(), Some("Example !0028CA!0029!n2"));
        assert_eq!(address("vault:x!n3!n2").ca.as_deref(), Some("x!0021n3!n2"));
        assert_eq!(address("vault:Example CA/").point, Selector::Latest);
        assert_eq!(address("vault:a/deadbeef").point, Selector::Id("deadbeef".to_owned()));
        assert_eq!(address("vault:=deadbeef").point, Selector::Alone("deadbeef".to_owned()));
        assert_eq!(address("vault:1970-01-02T00:00").point, Selector::At(86_459));
        assert_eq!(address("vault:1970-01-01").point, Selector::At(86_399));
        assert_eq!(address("vault:1970-01-01T00:00:01Z").point, Selector::At(1));
        // A name is sanitized once.
        assert_eq!(address("vault:CA (1)/latest").ca.as_deref(), Some("CA !00281!0029"));
        assert_eq!(address("vault:CA !00281!0029/latest").ca.as_deref(), Some("CA !00281!0029"));
    }

    #[test]
    fn paths_are_no_addresses_and_wrong_addresses_are_refused() {
        for path in [r"C:\backup", "C:/x", "/backup/a:b", "./a:b", "a b:c", "x", "", ":latest", "a:b"] {
            assert!(Address::parse(path).is_none(), "{path}");
        }
        for wrong in [
            "vault:ca/nonsense",
            "vault:ca/=x",
            "vault:ca/gen:+1",
            "vault:ca/gen:123456789",
            "vault:../latest",
        ] {
            assert!(Address::parse(wrong).unwrap().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in
            ["vault:Example CA/latest", "vault:latest", "v2:a/=deadbeef", "v2:a/gen:1f3", "v2:deadbeef"]
        {
            let read = address(text);
            assert_eq!(address(&read.to_string()), read);
        }
        let read = address("vault:2026-11-27T07:22:03");
        assert_eq!(address(&read.to_string()), read);
    }

    #[test]
    fn a_ca_that_could_be_a_point_is_written_with_a_slash() {
        let written = written(&["Example CA", "facade", "latest", "2026-11-27"].map(str::to_owned));
        assert_eq!(written, "Example CA, facade/, latest/, 2026-11-27/");
        let address = Address::parse("vault:facade/").unwrap().unwrap();
        assert_eq!((address.ca.as_deref(), address.names_point), (Some("facade"), false));
    }
}
