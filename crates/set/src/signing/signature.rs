//! One signature of a manifest, in the armour of OpenSSH.

use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, SshSig};

use super::error::Misfit;

/// What the signatures of manifests are for: `ssh-keygen -Y sign -n certadm-manifest`. A signature that the same key made for
/// something else does not count.
pub const NAMESPACE: &str = "certadm-manifest";
/// The signature's file, beside the manifest; `ssh-keygen -Y sign manifest.json` gives it the same name.
pub const FILE_NAME: &str = "manifest.json.sig";
/// No file of a signature is longer than this, 64 KiB. One of Ed25519 has some 300 bytes.
pub const MAX_LEN: u64 = 64 << 10;

/// A signature that can be read; what it is worth says [`ManifestSignature::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestSignature {
    signature: SshSig,
}

impl ManifestSignature {
    /// Reads the text between `-----BEGIN SSH SIGNATURE-----` and `-----END SSH SIGNATURE-----`. A signature has one form
    /// only, but for the ends of its lines.
    ///
    /// # Errors
    /// [`Misfit::Damaged`], [`Misfit::Algorithm`].
    pub fn parse(text: &[u8]) -> Result<Self, Misfit> {
        let damaged = |problem: String| Misfit::Damaged { problem };
        if text.len() as u64 > MAX_LEN {
            return Err(damaged(format!("it is longer than {MAX_LEN} bytes")));
        }
        let text = std::str::from_utf8(text).map_err(|_| damaged("it is no text".to_owned()))?;
        let text = text.trim_ascii_end().replace("\r\n", "\n");
        let signature = SshSig::from_pem(&text).map_err(|error| match error {
            ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. } => {
                Misfit::Algorithm
            }
            other => damaged(other.to_string()),
        })?;
        let again = signature.to_pem(LineEnding::LF).map_err(|error| damaged(error.to_string()))?;
        if signature.version() != SshSig::VERSION {
            return Err(damaged(format!("it has version {}, this program knows 1", signature.version())));
        }
        if again.trim_ascii_end() != text {
            return Err(damaged("it is not in the form that ssh-keygen writes".to_owned()));
        }
        Ok(Self { signature })
    }

    /// The fingerprint of the key that it names, as ssh-keygen writes it: `SHA256:...`.
    #[must_use]
    pub fn key(&self) -> String {
        self.signature.public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    /// Whether the key that it names made it, for the manifest with these bytes. Whose key that is, it does not say.
    ///
    /// # Errors
    /// [`Misfit::Wrong`], [`Misfit::Purpose`], [`Misfit::Algorithm`], [`Misfit::Unknown`].
    pub fn check(&self, manifest: &[u8]) -> Result<(), Misfit> {
        let (key, made_with) = (self.signature.public_key().algorithm(), self.signature.algorithm());
        if [key, made_with] != [Algorithm::Ed25519, Algorithm::Ed25519] {
            return Err(Misfit::Algorithm);
        }
        if self.signature.namespace() != NAMESPACE {
            return Err(Misfit::Purpose { namespace: self.signature.namespace().to_owned() });
        }
        // OpenSSH leaves the field out of what it verifies, so a signature with it would count here alone.
        if !self.signature.reserved().is_empty() {
            return Err(Misfit::Unknown);
        }
        self.public_key().verify(NAMESPACE, manifest, &self.signature).map_err(|_| Misfit::Wrong)
    }

    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey::from(self.signature.public_key().clone())
    }
}
