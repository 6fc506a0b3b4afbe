//! What it costs to derive the keys of an encrypted key file from a passphrase: the file says it, and a stranger may have
//! written the file. All keys of a file together may cost what one may.

use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, ScryptParams};

/// Rounds of PBKDF2, some ten seconds. This program writes 600,000, and other tools between 2,048 and some millions.
const MOST_ROUNDS: u32 = 10_000_000;
/// Memory for scrypt in bytes, 256 MiB. OpenSSL takes 16 MiB, and no more than 32 unless it is told.
const MOST_MEMORY: u64 = 256 << 20;
/// How often scrypt goes through its memory, one time after another.
const MOST_PASSES: u16 = 16;

/// Encrypted keys in a file. A CA has one for each renewal of its key.
pub(crate) const MOST_KEYS: usize = 16;

/// Why a key file is not opened: what it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It would take too long or too much memory. Another program may take that.
    Costly(String),
    /// Invalid parameters, on which the library ends the process.
    Impossible(&'static str),
}

/// What the keys of a file cost together.
#[derive(Default)]
pub(crate) struct Sum {
    rounds: u64,
    /// Bytes that scrypt goes through.
    bytes: u64,
}

impl Sum {
    /// Adds what one key costs that [`check`] has let pass.
    ///
    /// # Errors
    /// Why the sum is more than one key may cost.
    pub(crate) fn add(&mut self, scheme: &EncryptionScheme) -> Result<(), String> {
        match scheme.pbes2().map(|parameters| &parameters.kdf) {
            Some(Kdf::Pbkdf2(pbkdf2)) => self.rounds += u64::from(pbkdf2.iteration_count),
            Some(Kdf::Scrypt(scrypt)) => self.bytes += memory_of(scrypt) * u64::from(scrypt.parallelization),
            _ => {}
        }
        let most_bytes = MOST_MEMORY * u64::from(MOST_PASSES);
        if u64::from(MOST_ROUNDS) < self.rounds {
            let rounds = self.rounds;
            return Err(format!(
                "its keys use their passphrases in {rounds} rounds together; at most {MOST_ROUNDS} are accepted"
            ));
        }
        if most_bytes < self.bytes {
            let bytes = self.bytes;
            return Err(format!(
                "scrypt would go through {bytes} bytes for its keys together; at most {most_bytes} are accepted"
            ));
        }
        Ok(())
    }
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
    let memory = memory_of(scrypt);
    if MOST_MEMORY < memory || MOST_PASSES < passes {
        return Err(Refused::Costly(format!(
            "scrypt would take {memory} bytes {passes} times; at most {MOST_MEMORY} bytes and {MOST_PASSES} times are accepted"
        )));
    }
    Ok(())
}

fn memory_of(scrypt: &ScryptParams) -> u64 {
    scrypt.cost_parameter.saturating_mul(128 * u64::from(scrypt.block_size))
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

    #[test]
    fn the_keys_of_a_file_cost_together_what_one_may() {
        let sum = |schemes: &[EncryptionScheme]| {
            let mut sum = Sum::default();
            schemes.iter().try_for_each(|scheme| sum.add(scheme))
        };
        let half = pbkdf2(MOST_ROUNDS / 2);
        let half_of_memory = scrypt(1 << 18, 8, 8);
        sum(&[half.clone(), half.clone(), half_of_memory.clone(), half_of_memory.clone()]).unwrap();
        sum(&[half.clone(), half, pbkdf2(1)]).unwrap_err();
        sum(&[half_of_memory.clone(), half_of_memory, scrypt(2, 1, 1)]).unwrap_err();
        sum(&vec![pbkdf2(600_000); MOST_KEYS]).unwrap();
    }
}
