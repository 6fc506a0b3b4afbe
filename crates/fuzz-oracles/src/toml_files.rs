//! The four files that people write by hand: `ca.toml`, `users.toml`, `client.toml`, `repositories.toml`.
//!
//! A mistake is told with its place, and never with what the file holds: a password may stand under a key that does not
//! exist. What a file says survives being written, where there is something that writes it.

use std::path::Path;

use certadm_ca::Config as CaConfig;
use certadm_client::Config as ClientConfig;
use certadm_repository::Profiles;
use certadm_server::{User, UserFile};

/// What stands for a secret in inputs; an error that quotes a value quotes it.
pub(crate) const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// A key that no file has.
const UNKNOWN: &str = "pass_phrase_of_key";

/// What rules of ours say that know the place, behind the value of a key that is known and holds no secret.
const RULES: [&str; 1] = ["\" is neither an object identifier"];

/// Headers of tables that every key is known of.
const HEADERS: [&str; 9] = [
    "[[user]]",
    "[server.a]",
    "[vault]",
    "[vault.keep]",
    "[listeners]",
    "[roles]",
    "[service]",
    "[crl]",
    "[profiles.server]",
];

/// The first octet says which file the rest is: 0 `ca.toml`, 1 `users.toml`, 2 `client.toml`, 3 `repositories.toml`.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let accepts: fn(&str) -> Result<(), String> = match kind % 4 {
        0 => ca,
        1 => users,
        2 => client,
        _ => repositories,
    };
    match accepts(text) {
        Ok(()) => unknown_keys_are_refused(text, &HEADERS, accepts),
        Err(error) => assert!(!tells_secret(text, &error), "a secret in {error:?}"),
    }
}

fn ca(text: &str) -> Result<(), String> {
    let config = CaConfig::parse(text)?;
    let printed = config.to_toml();
    let again = CaConfig::parse(&printed);
    let again = again.unwrap_or_else(|error| panic!("what we wrote is refused: {error}\n{printed}"));
    // Profiles of one's own are the one thing that is not written.
    let again = CaConfig { profiles: config.profiles.clone(), ..again };
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
    Ok(())
}

fn users(text: &str) -> Result<(), String> {
    let file = UserFile::in_folder(Path::new("ca"));
    let users = file.parse(text).map_err(|error| error.to_string())?;
    let Ok(printed) = file.to_toml(&users) else { panic!("accounts that cannot be written") };
    let again = file.parse(&printed);
    let again = again.unwrap_or_else(|error| panic!("what we wrote is refused: {error}"));
    assert_eq!(*file.to_toml(&again).expect("written once already"), *printed);
    let plain = |users: &[User]| -> Vec<_> {
        let plain = |user: &User| {
            (user.name.clone(), user.nt_hash.to_hex().to_string(), user.roles, user.is_disabled)
        };
        users.iter().map(plain).collect()
    };
    assert_eq!(plain(&again), plain(&users));
    Ok(())
}

fn client(text: &str) -> Result<(), String> {
    ClientConfig::parse(text).map(drop)
}

/// Each vault can be asked for by its name, and where its key is follows from the CA's.
fn repositories(text: &str) -> Result<(), String> {
    let profiles = Profiles::parse(text)?;
    for profile in profiles.all() {
        assert!(profiles.vault(&profile.name).is_ok(), "a vault that has no name");
        let key = profile.key_file("CA");
        assert!(key.is_none_or(|file| !file.to_string_lossy().contains("{ca}")), "a key file of no CA");
    }
    Ok(())
}

/// Before the first line, and below each header of a table, one key more is one too many.
pub(crate) fn unknown_keys_are_refused(text: &str, headers: &[&str], accepts: fn(&str) -> Result<(), String>) {
    let entry = format!("{UNKNOWN} = \"{SECRET}\"\n");
    let refused = |at: usize, text: &str| {
        let error = accepts(text).expect_err("an unknown key is taken");
        // On the first line of a list of vaults it is a vault that is no table.
        assert!(error.contains(&format!("line {at}, column ")), "{error:?} does not name line {at}");
        assert!(error.contains(UNKNOWN) && !error.contains(SECRET), "{error:?}");
    };
    // An old mark of byte order may stand before the first line only.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    refused(1, &format!("{entry}{text}"));
    let mut before = String::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        before.push_str(line);
        // Only where the line is a header and not part of a long string: then what was read so far is a file by itself.
        if headers.contains(&line.trim_end()) && line.ends_with('\n') && toml::from_str::<toml::Table>(&before).is_ok() {
            let rest = text.get(before.len()..).unwrap_or_default();
            refused(number + 2, &format!("{before}{entry}{rest}"));
            return;
        }
    }
}

/// Whether an error quotes the secret as a value that no rule of ours is about. Errors without a place are those of our
/// rules, which name the value that breaks them: an address, a role, a name; of secrets they know `nt_hash`.
fn tells_secret(text: &str, error: &str) -> bool {
    if !error.contains(SECRET) {
        return false;
    }
    let is_rule = RULES.iter().any(|rule| error.contains(rule));
    let is_placed = (error.starts_with("line ") || error.contains(" has a mistake: line ")) && !is_rule;
    // As a key it is no secret, and is named as what is unknown, or has a wrong value. What is no TOML has no keys.
    let Ok(file) = toml::from_str::<toml::Table>(text) else { return is_placed && !names_unknown_key(error) };
    let found = Found::in_table(&file);
    // What stands in another value, too, may come from there.
    let is_hash = found.in_hash && !found.in_value;
    (is_placed || is_hash) && !found.in_key && !names_unknown_key(error)
}

/// Where the secret stands in a file.
#[derive(Default)]
struct Found {
    in_key: bool,
    /// In the value of a hash.
    in_hash: bool,
    /// In the value of another key.
    in_value: bool,
}

impl Found {
    fn in_table(table: &toml::Table) -> Self {
        let mut found = Self::default();
        for (key, value) in table {
            found.in_key |= key.contains(SECRET);
            found.add(value, key == "nt_hash");
        }
        found
    }

    fn add(&mut self, value: &toml::Value, is_hash: bool) {
        match value {
            toml::Value::String(text) => {
                *(if is_hash { &mut self.in_hash } else { &mut self.in_value }) |= text.contains(SECRET);
            }
            toml::Value::Array(values) => values.iter().for_each(|value| self.add(value, is_hash)),
            toml::Value::Table(table) => {
                let within = Self::in_table(table);
                self.in_key |= within.in_key;
                self.in_hash |= within.in_hash;
                self.in_value |= within.in_value;
            }
            _ => {}
        }
    }
}

/// Whether an error has the secret only as a part of a key that no file has: what was read as a key is one, even if the text has
/// no value where another key wants one, such as a number that is too large.
fn names_unknown_key(error: &str) -> bool {
    let Some((before, rest)) = error.split_once("unknown field `") else { return false };
    // A key may have the mark by which it is quoted.
    let Some((key, after)) = rest.split_once("`, ") else { return false };
    key.contains(SECRET) && !before.contains(SECRET) && !after.contains(SECRET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_told_from_what_may_be_named() {
        let tells = |file: &str, error: &str| {
            let secret = |text: &str| text.replace('%', SECRET);
            tells_secret(&secret(file), &secret(error))
        };
        let hash = "[[user]]\nname = 'a'\nnt_hash = '%'\n";
        assert!(tells(hash, "the hash \"%\" is none"));
        assert!(tells("password = '%'", "line 1, column 12: expected a number, found \"%\""));
        assert!(tells("password = '%", "line 1, column 12: no end of \"%\""), "what is no TOML");
        assert!(!tells(hash, "the hash is none"));
        assert!(!tells("name = 'nt_hash=%'", "the CA name \"nt_hash=%\" has a control character"));
        assert!(!tells("% = 1", "line 1, column 1: unknown field `%`"));
        assert!(!tells("['`%']\n[", "line 1, column 2: unknown field ``%`, expected `user`"), "what is no TOML");
        assert!(!tells("pings = '%'", "line 1, column 9: \"%\" is neither an object identifier"));
    }
}
