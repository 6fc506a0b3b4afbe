//! Keys of OpenSSH that sign sets in tests, made by `ssh-keygen`, and known to everybody who reads this.

use std::fs;
use std::path::{Path, PathBuf};

/// Signs sets.
pub const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACDmNXPI+nS/6QnpUE+z7ux7FRzVBIXpLk87CDwFFezitQAAAJg4qhk7OKoZ
OwAAAAtzc2gtZWQyNTUxOQAAACDmNXPI+nS/6QnpUE+z7ux7FRzVBIXpLk87CDwFFezitQ
AAAEAZO+hDbTFK++DEIIYJMAFwYiZ3CB6cPc93H4WrQvgm+OY1c8j6dL/pCelQT7Pu7HsV
HNUEhekuTzsIPAUV7OK1AAAAD3Rlc3Qgb2YgY2VydGFkbQECAwQFBg==
-----END OPENSSH PRIVATE KEY-----
";
/// Its public part.
pub const PUBLIC: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY1c8j6dL/pCelQT7Pu7HsVHNUEhekuTzsIPAUV7OK1";
/// Another one.
pub const OTHER: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAUMMgt3Rmmbll0dEj9mWBT6TRRJajCDgoyldZEW+cqRQAAAKACB+l/Agfp
fwAAAAtzc2gtZWQyNTUxOQAAACAUMMgt3Rmmbll0dEj9mWBT6TRRJajCDgoyldZEW+cqRQ
AAAEDIxzyYfq8Ay1KIbtZ2CRWIcPsOJqPc9c7q/9f1kHJgPRQwyC3dGaZuWXR0SP2ZYFPp
NFElqMIOCjKV1kRb5ypFAAAAF2Fub3RoZXIgdGVzdCBvZiBjZXJ0YWRtAQIDBAUG
-----END OPENSSH PRIVATE KEY-----
";
/// Its public part.
pub const OTHER_PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQwyC3dGaZuWXR0SP2ZYFPpNFElqMIOCjKV1kRb5ypF";
/// One with the passphrase `correct horse battery`.
pub const LOCKED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABB1wDnkuj
BLoud5C1pXy9imAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIFTSZAuLA/1e4qF8
2ySHu7C2gSmJ+OlNvI+WdB0UoKS6AAAAoPg4iSSb2RjQRDIWAnVh1CLMHiHaxgjHXwfMbW
LPU8fr06F7diFAlyNAd73SdbyFuwXfAgvaTVumWA2NHvcLKXgNB+hvq2dsGZ+GmSK0yqCH
MhL1iyIPM1itaUM8R05fMFbSgdCKX2zqhCIGxyhtLWk0DTe3i1XOeo7sAWKt8RYWDyiNvv
kukpTW2y89rDnz45RICRGsAz24vI1BA5lt9/k=
-----END OPENSSH PRIVATE KEY-----
";
/// Its public part.
pub const LOCKED_PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFTSZAuLA/1e4qF82ySHu7C2gSmJ+OlNvI+WdB0UoKS6";
/// One of a kind that signs no sets, ECDSA.
pub const ECDSA: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQQJ3UtlxFfrUiaCiY53xPkU5Mip3pdk
3K0NMicWQSfOKZFuJ6P84HgxH9AzTvSP/Ga87cLlYxZplE8+Hb1bBObxAAAAuDIvQboyL0
G6AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAndS2XEV+tSJoKJ
jnfE+RTkyKnel2TcrQ0yJxZBJ84pkW4no/zgeDEf0DNO9I/8ZrztwuVjFmmUTz4dvVsE5v
EAAAAhAIDHLtNC/e1nWtcYXr1D+YW6ZhTt64vkZoiNQvL/IUVLAAAAGWEga2luZCB0aGF0
IHNpZ25zIG5vIHNldHMBAgMEBQY=
-----END OPENSSH PRIVATE KEY-----
";
/// Its public part.
pub const ECDSA_PUBLIC: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAndS2XEV+tSJoKJjnfE+RTkyKnel2TcrQ0yJxZBJ84pkW4no/zgeDEf0DNO9I/8ZrztwuVjFmmUTz4dvVsE5vE=";

/// Writes a key into a new file for its owner alone, as OpenSSH demands.
///
/// # Panics
/// When it cannot be written.
pub fn write_key(path: &Path, key: &str) -> PathBuf {
    fs::write(path, key).expect("the key can be written");
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("its mode can be set");
    path.to_owned()
}
