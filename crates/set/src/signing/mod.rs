//! Signatures of sets: who says that a set is theirs (docs/set-format.md, "manifest.json.sig").
//!
//! A manifest names every file of its set with its hashes, so one signature of the manifest speaks for the whole set. It is
//! in the format of OpenSSH, [SSHSIG](https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig), so that
//! `ssh-keygen -Y sign` and `ssh-keygen -Y verify` make and judge it just the same. Keys are Ed25519.
//!
//! ```
//! use certadm_rules::FileTime;
//! use certadm_set::signing::{AllowedSigners, KeyFile, ManifestSignature};
//!
//! # let key = "-----BEGIN OPENSSH PRIVATE KEY-----
//! # b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
//! # QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM
//! # XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg
//! # AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf
//! # ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==
//! # -----END OPENSSH PRIVATE KEY-----
//! # ";
//! // `KeyFile::read` takes it from a file; one with a passphrase gives `KeyFile::Locked`.
//! let KeyFile::Open(signer) = KeyFile::parse(key.as_bytes())? else { panic!("it has a passphrase") };
//! let manifest = b"the bytes of a manifest.json";
//! let signature = signer.sign(manifest);
//!
//! let line = format!("backup@ca.example namespaces=\"certadm-manifest\" {}", signer.public_key());
//! let allowed = AllowedSigners::parse(line.as_bytes())?;
//! let now = FileTime::from_unix_seconds(1_800_000_000);
//! let by = allowed.judge(manifest, &ManifestSignature::parse(signature.as_bytes())?, now)?;
//! assert_eq!(by.principals, "backup@ca.example");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `TakeOptions::signer` signs a set while it is taken. [`AllowedSigners::check`] asks the same of sets that lie somewhere,
//! and [`AllowedSigners::check_files`] of their files, too.

mod allowed;
mod check;
mod error;
mod pattern;
mod signature;
mod signer;
mod validity;

pub use allowed::{AllowedSigners, SignedBy};
pub use check::{Standing, compare_files, signature_of};
pub use error::{Error, Misfit};
pub use signature::{FILE_NAME, MAX_LEN, ManifestSignature, NAMESPACE};
pub use signer::{KeyFile, LockedKey, Signer};
