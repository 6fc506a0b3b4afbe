//! The list of those whose signatures count, in the format of OpenSSH (ssh-keygen(1), ALLOWED SIGNERS).

use std::path::Path;

use certadm_files::Found;
use certadm_rules::FileTime;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use super::error::{Error, Misfit};
use super::pattern;
use super::signature::{ManifestSignature, NAMESPACE};
use super::validity::{Validity, moment};

/// No list is longer than this, 1 MiB: room for some 8,000 keys.
const MAX_LIST: u64 = 1 << 20;
/// What the keys of OpenSSH are called that certadm reads over: nobody signs sets with them.
const OTHER_KINDS: [&str; 7] = [
    "ssh-rsa",
    "ssh-dss",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
const ED25519: &str = "ssh-ed25519";

/// Whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedSigners {
    lines: Vec<Line>,
    /// The one who is asked for, if not everybody.
    signer: Option<String>,
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    number: usize,
    /// Who has the key: a list of patterns.
    principals: String,
    /// What the key may sign, a list of patterns; everything where there is none.
    namespaces: Option<String>,
    validity: Validity,
    /// Nothing for a key of a kind that does not sign sets.
    key: Option<KeyData>,
}

/// Who signed a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// What the list calls them: patterns separated by commas, or the one who was asked for.
    pub principals: String,
    /// The fingerprint of their key, `SHA256:...`.
    pub key: String,
    /// The line of the list that says so, from 1.
    pub line: usize,
}

impl AllowedSigners {
    /// Reads a list that a person named.
    ///
    /// # Errors
    /// [`Error::SignersFile`] when a line of it is wrong, or it is longer than 1 MiB; what [`Found::open`] finds.
    pub fn read(path: &Path) -> crate::Result<Self> {
        let refuse = |problem| Error::SignersFile { path: path.to_owned(), problem };
        let text = match Found::named(path).read(MAX_LIST) {
            Err(certadm_files::Error::TooLong { limit, .. }) => {
                return Err(refuse(format!("it is longer than {limit} bytes")).into());
            }
            other => other?,
        };
        Ok(Self::parse(&text).map_err(refuse)?)
    }

    /// Takes a list from its text. Every line is read now: one that is wrong makes the list useless, wherever it stands.
    ///
    /// # Errors
    /// A sentence with the number of the line.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is no text in UTF-8".to_owned())?;
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |problem: String| format!("line {}: {problem}", index + 1);
            // OpenSSH reads a line up to its first NUL.
            if line.chars().any(|letter| letter.is_control() && letter != '\t') {
                return Err(at("it has a control character".to_owned()));
            }
            lines.push(Line::parse(index + 1, line).map_err(at)?);
        }
        if lines.is_empty() {
            return Err("it names nobody".to_owned());
        }
        Ok(Self { lines, signer: None })
    }

    /// Lets only one of them count: the name that is given to `ssh-keygen -Y verify -I`.
    #[must_use]
    pub fn only(self, signer: impl Into<String>) -> Self {
        Self { signer: Some(signer.into()), ..self }
    }

    /// Judges a signature of the manifest with these bytes, at a time.
    ///
    /// # Errors
    /// Every [`Misfit`].
    pub fn judge(
        &self,
        manifest: &[u8],
        signature: &ManifestSignature,
        now: FileTime,
    ) -> Result<SignedBy, Misfit> {
        signature.check(manifest)?;
        self.judge_key(&signature.key(), now)
    }

    /// Judges at a time who has made a signature that was found to fit its manifest before: the one with the key of this fingerprint,
    /// as [`ManifestSignature::key`] gives it.
    ///
    /// # Errors
    /// [`Misfit::Stranger`], [`Misfit::AnotherSigner`], [`Misfit::Namespace`], [`Misfit::NotYet`], [`Misfit::Over`].
    pub fn judge_key(&self, key: &str, now: FileTime) -> Result<SignedBy, Misfit> {
        let mut misfit = Misfit::Stranger { key: key.to_owned() };
        let is_of = |data: &KeyData| data.fingerprint(HashAlg::Sha256).to_string() == key;
        for line in self.lines.iter().filter(|line| line.key.as_ref().is_some_and(is_of)) {
            match self.admit(line, now, key) {
                Ok(principals) => return Ok(SignedBy { principals, key: key.to_owned(), line: line.number }),
                Err(why) => misfit = why,
            }
        }
        Err(misfit)
    }

    /// Whether a line lets its key sign manifests now, and for whom.
    fn admit(&self, line: &Line, now: FileTime, key: &str) -> Result<String, Misfit> {
        let (number, key) = (line.number, key.to_owned());
        let principals = match &self.signer {
            Some(signer) if pattern::takes(&line.principals, signer) => signer,
            Some(signer) => return Err(Misfit::AnotherSigner { key, signer: signer.clone() }),
            None => &line.principals,
        };
        if line.namespaces.as_ref().is_some_and(|list| !pattern::takes(list, NAMESPACE)) {
            return Err(Misfit::Namespace { line: number, key, namespace: NAMESPACE });
        }
        match line.validity {
            Validity { after: Some(after), .. } if now < after => {
                Err(Misfit::NotYet { line: number, key, from: after.to_rfc3339() })
            }
            // OpenSSH counts whole seconds.
            Validity { before: Some(before), .. } if now.unix_seconds() > before.unix_seconds() => {
                Err(Misfit::Over { line: number, key, until: before.to_rfc3339() })
            }
            _ => Ok(principals.clone()),
        }
    }
}

impl Line {
    /// `principals [options] kind key [comment]`
    fn parse(number: usize, line: &str) -> Result<Self, String> {
        let (principals, rest) = match line.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("the quotation mark is not closed")?,
            None => line.split_once([' ', '\t']).ok_or("it has no key")?,
        };
        if principals.is_empty() || principals.contains('"') {
            return Err("it does not say who signs, or has a quotation mark in it".to_owned());
        }
        let rest = rest.trim_ascii_start();
        let mut parsed = Self {
            number,
            principals: principals.to_owned(),
            namespaces: None,
            validity: Validity::default(),
            key: None,
        };
        let is_key = |text: &str| {
            let kind = text.split_ascii_whitespace().next().unwrap_or_default();
            kind == ED25519 || OTHER_KINDS.contains(&kind) || is_certificate(kind)
        };
        let key = if is_key(rest) {
            rest
        } else {
            let (options, key) =
                rest.split_at(end_of_options(rest).ok_or("the quotation mark is not closed")?);
            if key.is_empty() {
                return Err("it has no key".to_owned());
            }
            parsed.options(options)?;
            key.trim_ascii_start()
        };
        parsed.key = parse_key(key)?;
        Ok(parsed)
    }

    /// `name="value",name="value"`, whatever the case of the names.
    fn options(&mut self, mut text: &str) -> Result<(), String> {
        loop {
            let end = text.find(['=', ',']).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            if name.eq_ignore_ascii_case("cert-authority") {
                return Err(
                    "it lets an authority name further signers (cert-authority), and certadm reads no certificates of \
                     OpenSSH: list the keys themselves"
                        .to_owned(),
                );
            }
            let (value, rest) = match rest.strip_prefix("=\"") {
                Some(quoted) => unquoted(quoted).ok_or("the quotation mark is not closed")?,
                None => return Err(format!("{name:?} is no option, or has no value in quotation marks")),
            };
            let twice = || Err(format!("the option {name} is there twice"));
            match name.to_ascii_lowercase().as_str() {
                "namespaces" if self.namespaces.is_some() => return twice(),
                "namespaces" => self.namespaces = Some(value),
                "valid-after" if self.validity.after.is_some() => return twice(),
                "valid-after" => self.validity.after = Some(moment(&value)?),
                "valid-before" if self.validity.before.is_some() => return twice(),
                "valid-before" => self.validity.before = Some(moment(&value)?),
                _ => return Err(format!("{name:?} is no option that certadm knows")),
            }
            match rest.strip_prefix(',') {
                Some(more) => text = more,
                None if rest.is_empty() => break,
                None => return Err(format!("a comma is missing behind the option {name}")),
            }
        }
        match self.validity {
            Validity { after: Some(after), before: Some(before) } if before <= after => {
                Err("it ends before it begins".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Where the options end: at the first blank outside of quotation marks.
fn end_of_options(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut quoted) = (0, false);
    while at < bytes.len() && (quoted || !matches!(bytes[at], b' ' | b'\t')) {
        match bytes[at] {
            b'\\' if bytes.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => quoted = !quoted,
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some(at)
}

/// What stands up to the next quotation mark, and what stands behind it. `\"` is one that does not end it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let (part, behind) = rest.split_once('"')?;
        rest = behind;
        match part.strip_suffix('\\') {
            Some(part) => {
                value.push_str(part);
                value.push('"');
            }
            None => {
                value.push_str(part);
                return Some((value, rest));
            }
        }
    }
}

fn is_certificate(kind: &str) -> bool {
    kind.ends_with("-cert-v01@openssh.com")
}

/// `kind key [comment]`: the key, if it is of the kind that signs sets.
fn parse_key(text: &str) -> Result<Option<KeyData>, String> {
    let mut words = text.split_ascii_whitespace();
    let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if is_certificate(kind) {
        return Err("it has a certificate of OpenSSH in the place of a key: list the key itself".to_owned());
    }
    if OTHER_KINDS.contains(&kind) {
        return Ok(None);
    }
    if kind != ED25519 {
        return Err(format!("{kind:?} is no kind of key"));
    }
    let text = format!("{kind} {key}");
    let parsed =
        PublicKey::from_openssh(&text).map_err(|error| format!("the key cannot be read ({error})"))?;
    // The library reads over a length in the key that is wrong.
    if parsed.to_openssh().ok().as_deref() != Some(&text) {
        return Err("the key cannot be read (it is not in the form that ssh-keygen writes)".to_owned());
    }
    Ok(Some(parsed.key_data().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn lines_are_read_as_openssh_reads_them() {
        let text = format!(
            "# who may sign\n\n  a@b {KEY} comment\n\"quoted one,*@c\" {KEY}\r\n\
             x\tNameSpaces=\"git,certadm-*\",valid-after=\"20200101Z\",VALID-BEFORE=\"203001010000Z\" {KEY}\n\
             rsa ssh-rsa AAAAB3NzaC1yc2E= old\n\
             odd namespaces=\"a\\\"b, c\"   ssh-ed25519\tAAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"
        );
        let list = AllowedSigners::parse(text.as_bytes()).unwrap();
        let told: Vec<_> = list.lines.iter().map(|line| (line.number, line.principals.as_str())).collect();
        assert_eq!(told, [(3, "a@b"), (4, "quoted one,*@c"), (5, "x"), (6, "rsa"), (7, "odd")]);
        assert_eq!(list.lines[2].namespaces.as_deref(), Some("git,certadm-*"));
        assert!(list.lines[2].validity.after.is_some() && list.lines[2].validity.before.is_some());
        assert!(list.lines[3].key.is_none());
        assert_eq!(list.lines[4].namespaces.as_deref(), Some("a\"b, c"));
        assert_eq!(list.lines[4].key, list.lines[0].key);
    }

    #[test]
    fn a_wrong_line_makes_the_list_useless() {
        for (line, said) in [
            ("a@b", "no key"),
            ("\"a@b ssh-ed25519 AAAA", "not closed"),
            ("\"\" ssh-ed25519 AAAA", "not say who"),
            ("a\"b\" KEY", "not say who"),
            ("a@b KEY\0", "control"),
            ("a@b ssh-ed25519", "cannot be read"),
            ("a@b ssh-ed25519 !!!!", "cannot be read"),
            ("a@b ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98", "cannot be read"),
            // A length of 33 before a key of 32 bytes.
            (
                "a@b ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIbM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
                "cannot be read",
            ),
            ("a@b ssh-ed448 AAAA", "no option"),
            ("a@b cert-authority KEY", "cert-authority"),
            ("a@b namespaces=\"x\",Cert-Authority KEY", "cert-authority"),
            ("a@b cert-authority=\"x\" KEY", "cert-authority"),
            ("a@b ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
            ("a@b namespaces=file KEY", "quotation marks"),
            ("a@b namespaces=\"file KEY", "not closed"),
            ("a@b namespaces=\"file\",namespaces=\"x\" KEY", "twice"),
            ("a@b valid-after=\"20200101Z\",valid-after=\"20200101Z\" KEY", "twice"),
            ("a@b valid-before=\"20200101Z\",valid-before=\"20200101Z\" KEY", "twice"),
            ("a@b valid-before=\"20200101Z\",valid-after=\"20200101Z\" KEY", "ends before"),
            ("a@b valid-before=\"20200101\" KEY", "zone"),
            ("a@b namespaces=\"a\"b KEY", "comma"),
            ("a@b namespaces=\"a\", KEY", "no option"),
            ("a@b no-touch-required KEY", "no option"),
            ("a@b colour=\"red\" KEY", "certadm knows"),
        ] {
            let text = format!("ok {KEY}\n{}\n", line.replace("KEY", KEY));
            let error = AllowedSigners::parse(text.as_bytes()).unwrap_err();
            assert!(error.starts_with("line 2: ") && error.contains(said), "{line}: {error}");
        }
        assert!(AllowedSigners::parse(b"# nobody\n").unwrap_err().contains("nobody"));
        assert!(AllowedSigners::parse(b"\xff").unwrap_err().contains("UTF-8"));
    }
}
