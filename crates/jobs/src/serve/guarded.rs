//! What callers from other machines have to bring: TLS, and the token. Both files are read again when they change, so that a
//! certificate that is renewed needs no restart.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64ct::{Base64, Encoding};
use certadm_files::read;
use certadm_rules::diagnosis::chain_of;
use hyper::header::HeaderValue;
use subtle::ConstantTimeEq;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::config::Guard;

/// No file with certificates or a key is longer than this, in bytes.
const MAX_PEM: u64 = 1 << 20;
/// No file with a token is longer than this, in bytes.
const MAX_TOKEN: u64 = 4096;
/// A token that is shorter could be guessed.
const SHORTEST: usize = 16;

/// When the certificate and its key were changed last.
type Stamp = [Option<SystemTime>; 2];

/// A guard whose files are there.
pub(super) struct Guarded {
    guard: Guard,
    loaded: Mutex<(Stamp, Arc<ServerConfig>)>,
}

impl Guarded {
    /// Reads the files.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with a sentence.
    pub(super) fn new(guard: Guard) -> io::Result<Self> {
        token_of(&guard.token_file)?;
        let loaded = (stamp(&guard), settings(&guard)?);
        Ok(Self { guard, loaded: Mutex::new(loaded) })
    }

    /// What takes a caller by the certificate of now. Files that cannot be used leave those before in force.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.guard);
        if loaded.0 != now
            && let Ok(settings) = settings(&self.guard)
        {
            *loaded = (now, settings);
        }
        TlsAcceptor::from(Arc::clone(&loaded.1))
    }

    /// Whether a caller has brought the token: as `Authorization: Bearer TOKEN`, or as the password that a browser asks for.
    ///
    /// # Errors
    /// When the token of this machine cannot be read.
    pub(super) fn knows(&self, authorization: Option<&HeaderValue>) -> io::Result<bool> {
        let token = token_of(&self.guard.token_file)?;
        let Some(shown) = authorization.and_then(|value| value.to_str().ok()).and_then(shown) else {
            return Ok(false);
        };
        // How long the token is may be learned from the time that this takes, and nothing else.
        Ok(shown.as_bytes().ct_eq(token.as_bytes()).into())
    }
}

/// The token in the value of the header.
fn shown(value: &str) -> Option<Zeroizing<String>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = Zeroizing::new(String::from_utf8(Base64::decode_vec(rest).ok()?).ok()?);
    let (_, password) = plain.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}

fn token_of(file: &Path) -> io::Result<Zeroizing<String>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let bytes = read::bounded(file, MAX_TOKEN).map_err(|error| invalid(chain_of(&error)))?;
    let bytes = Zeroizing::new(bytes);
    let text = read::without_byte_order_mark(&bytes).and_then(|text| std::str::from_utf8(text).ok());
    let token = text.ok_or_else(|| invalid(format!("{} is no text in UTF-8", file.display())))?;
    let token = token.trim();
    if token.len() < SHORTEST || token.contains(|letter: char| !letter.is_ascii_graphic()) {
        let text = format!(
            "the token in {} is no line of at least {SHORTEST} printable letters without blanks",
            file.display()
        );
        return Err(invalid(text));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn settings(guard: &Guard) -> io::Result<Arc<ServerConfig>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let read = |path: &Path| {
        read::bounded(path, MAX_PEM).map(Zeroizing::new).map_err(|error| invalid(chain_of(&error)))
    };
    let pem = read(&guard.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain
        .ok_or_else(|| invalid(format!("{} holds no certificate in PEM", guard.certificate.display())))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&guard.key)?);
    let key = key.map_err(|_| {
        invalid(format!("{} holds no private key in PEM without a passphrase", guard.key.display()))
    })?;
    let settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut settings =
        settings.map_err(|error| invalid(format!("{}: {error}", guard.certificate.display())))?;
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(settings))
}

fn stamp(guard: &Guard) -> Stamp {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    [changed(&guard.certificate), changed(&guard.key)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_bearer_or_as_a_password() {
        let is = |value: &str| shown(value).map(|token| token.as_str().to_owned());
        assert_eq!(is("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(is("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(is("Basic eDphOmI=").as_deref(), Some("a:b"), "x:a:b");
        for wrong in ["", "abc", "Digest abc", "Basic abc", "Basic eA==", "Basic /w=="] {
            assert_eq!(is(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_is_one_long_line() {
        let folder = certadm_files::scratch::for_test();
        let file = folder.path().join("token");
        let taken = |text: &str| {
            std::fs::write(&file, text).unwrap();
            token_of(&file).map(|token| token.as_str().to_owned())
        };
        assert_eq!(taken("0123456789abcdef\n").unwrap(), "0123456789abcdef");
        for wrong in ["", "\n", "short", "0123456789 abcdef", "0123456789abcdef\n0123456789abcdef"] {
            let error = taken(wrong).unwrap_err().to_string();
            assert!(error.contains("no line of at least 16") && !error.contains("abcdef"), "{error}");
        }
    }
}
