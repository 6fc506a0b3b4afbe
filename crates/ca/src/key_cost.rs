//! What it costs to derive the key of an encrypted key file from a passphrase: the file says it, and a stranger may have
//! written the file.

use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, ScryptParams};

/// Rounds of PBKDF2, some ten seconds. This program writes 600,000, and other tools between 2,048 and some millions.
const MOST_ROUNDS: u32 = 10_000_000;
/// Memory for scrypt in bytes, 256 MiB. OpenSSL takes 16 MiB, and no more than 32 unless it is told.
const MOST_MEMORY: u64 = 256 << 20;
/// How often scrypt goes through its memory, one time after another.
const MOST_PASSES: u16 = 16;

/// Why a key file is not opened: what it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It would take too long or too much memory. Another program may take that.
    Costly(String),
    /// Invalid parameters, on which the library ends the process.
    Impossible(&'static str),
}

/// Refuses what takes too long or too much memory, and invalid parameters.
///
/// # Errors
/// [`Refused`].
pub(crate) fn check(scheme: &EncryptionScheme) -> Result<(), Refused> {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(pbkdf2)) => match pbkdf2.iteration_count {
            0 => Err(Refused::Impossible("its passphrase is used in no round")),
            rounds if MOST_ROUNDS < rounds => Err(Refused::Costly(format!(
                "its passphrase is used in {rounds} rounds; at most {MOST_ROUNDS} are accepted"
            ))),
            _ => Ok(()),
        },
        Some(Kdf::Scrypt(scrypt)) => check_scrypt(scrypt),
        // What else there is cannot be opened and costs nothing.
        _ => Ok(()),
    }
}

fn check_scrypt(scrypt: &ScryptParams) -> Result<(), Refused> {
    let (cost, size, passes) = (scrypt.cost_parameter, scrypt.block_size, scrypt.parallelization);
    if !cost.is_power_of_two() || cost < 2 || size == 0 || passes == 0 {
        return Err(Refused::Impossible("its parameters for scrypt are invalid"));
    }
    let memory = cost.saturating_mul(128 * u64::from(size));
    if MOST_MEMORY < memory || MOST_PASSES < passes {
        return Err(Refused::Costly(format!(
            "scrypt would take {memory} bytes {passes} times; at most {MOST_MEMORY} bytes and {MOST_PASSES} times are accepted"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pkcs8::pkcs5::pbes2::Parameters;

    use super::*;

    fn pbkdf2(rounds: u32) -> EncryptionScheme {
        Parameters::generate_pbkdf2_sha256_aes256cbc(1, b"salt of salts", [0; 16])
            .map(|mut parameters| {
                if let Kdf::Pbkdf2(pbkdf2) = &mut parameters.kdf {
                    pbkdf2.iteration_count = rounds;
                }
                parameters.into()
            })
            .unwrap()
    }

    fn scrypt(cost: u64, size: u16, passes: u16) -> EncryptionScheme {
        let some = pkcs8::pkcs5::scrypt::Params::new(4, 8, 1).unwrap();
        let mut parameters = Parameters::generate_scrypt_aes256cbc(some, b"salt of salts", [0; 16]).unwrap();
        if let Kdf::Scrypt(scrypt) = &mut parameters.kdf {
            (scrypt.cost_parameter, scrypt.block_size, scrypt.parallelization) = (cost, size, passes);
        }
        parameters.into()
    }

    #[test]
    fn what_other_tools_write_is_computed_and_no_more() {
        for good in [
            pbkdf2(1),
            pbkdf2(2048),
            pbkdf2(600_000),
            pbkdf2(MOST_ROUNDS),
            scrypt(1 << 14, 8, 1),
            scrypt(1 << 18, 8, 16),
        ] {
            assert_eq!(check(&good), Ok(()));
        }
        for bad in [
            pbkdf2(0),
            pbkdf2(MOST_ROUNDS + 1),
            pbkdf2(u32::MAX),
            scrypt(0, 8, 1),
            scrypt(1, 8, 1),
            scrypt(3, 8, 1),
            scrypt(1 << 14, 0, 1),
            scrypt(1 << 14, 8, 0),
            scrypt(1 << 14, 8, 17),
            scrypt(1 << 18, 9, 1),
            scrypt(1 << 63, u16::MAX, 1),
            scrypt(u64::MAX, u16::MAX, u16::MAX),
        ] {
            check(&bad).unwrap_err();
        }
    }
}
