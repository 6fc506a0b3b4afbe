//! What this crate needs from the world around it: a clock and random bytes.

use certadm_rules::FileTime;

/// Clock and random source: this crate reads neither by itself.
pub trait Environment: Send + Sync {
    /// The present time.
    fn now(&self) -> FileTime;

    /// Fills `bytes` from a cryptographically secure source.
    ///
    /// # Errors
    /// [`NoRandomness`] if there is none.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The environment could not supply random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes for keys and nonces; check the system's random source")]
pub struct NoRandomness;

/// Random bytes.
pub(crate) fn random<const N: usize>(environment: &dyn Environment) -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    environment.fill_random(&mut bytes)?;
    Ok(bytes)
}
