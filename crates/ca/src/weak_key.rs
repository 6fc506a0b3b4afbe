//! RSA keys that are long enough and weak all the same.

use rsa::BoxedUint;

/// The smallest public exponent: with smaller ones, careless padding of others gives messages or signatures away.
const MIN_EXPONENT: u64 = 65_537;
/// A product of primes so near to each other is found by Fermat's method in so many steps (Baseline Requirements 6.1.1.6).
const FERMAT_STEPS: usize = 100;

/// Why a key of these parts, big-endian, is weak; nothing when no weakness is known.
pub(crate) fn weakness(modulus: &[u8], exponent: &[u8]) -> Option<&'static str> {
    let small = exponent.iter().skip_while(|byte| **byte == 0).count() <= 8;
    let value = exponent.iter().fold(0_u64, |value, byte| value.wrapping_shl(8) | u64::from(*byte));
    if small && value < MIN_EXPONENT {
        return Some("its public exponent is below 65537");
    }
    if small && value.is_multiple_of(2) {
        return Some("its public exponent is even");
    }
    if (2..752).filter(|number| is_prime(*number)).any(|prime| remainder(modulus, prime) == 0) {
        return Some("its modulus has a small factor");
    }
    if is_roca(modulus) {
        return Some("it was made by hardware with a faulty generator (ROCA, CVE-2017-15361)");
    }
    if has_close_primes(modulus) {
        return Some("its primes are too near to each other");
    }
    None
}

fn is_prime(number: u32) -> bool {
    (2..number).take_while(|factor| factor * factor <= number).all(|factor| !number.is_multiple_of(factor))
}

fn remainder(number: &[u8], by: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % by)
}

/// Primes of the faulty generator are powers of 65537 modulo each of the first primes, and so is their product. Of other
/// numbers one in 2^150 is.
fn is_roca(modulus: &[u8]) -> bool {
    (3..168).filter(|number| is_prime(*number)).all(|prime| {
        let wanted = remainder(modulus, prime);
        let mut power = 1;
        for _ in 0..prime {
            if power == wanted {
                return true;
            }
            power = power * (65_537 % prime) % prime;
        }
        false
    })
}

/// Whether the modulus is a² - b² for one of the first a above its root.
fn has_close_primes(modulus: &[u8]) -> bool {
    // Twice the size, so that no square overflows.
    let number = widened(modulus, 2 * modulus.len());
    let mut root = number.floor_sqrt_vartime();
    if root.wrapping_mul(&root) < number {
        root = root.wrapping_add(one(&number));
    }
    let mut difference = root.wrapping_mul(&root).wrapping_sub(&number);
    for _ in 0..FERMAT_STEPS {
        if is_square(&difference) {
            return true;
        }
        let twice = root.wrapping_add(&root);
        difference = difference.wrapping_add(&twice).wrapping_add(one(&number));
        root = root.wrapping_add(one(&number));
    }
    false
}

fn one(like: &BoxedUint) -> BoxedUint {
    widened(&[1], like.to_be_bytes().len())
}

/// A big-endian number in so many bytes, at least.
fn widened(number: &[u8], size: usize) -> BoxedUint {
    let mut bytes = vec![0; size.saturating_sub(number.len())];
    bytes.extend(number);
    BoxedUint::from_be_slice_vartime(&bytes)
}

fn is_square(number: &BoxedUint) -> bool {
    // Most numbers are told by what they leave, which is quicker than a root.
    let bytes = number.to_be_bytes();
    let is_residue = |by: u32| {
        let rest = remainder(&bytes, by);
        (0..by).any(|root| root * root % by == rest)
    };
    [64, 63, 65, 11, 17, 19, 23, 31].into_iter().all(is_residue) && {
        let root = number.floor_sqrt_vartime();
        root.wrapping_mul(&root) == *number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPONENT: &[u8] = &[1, 0, 1];

    fn product(left: &BoxedUint, right: &BoxedUint) -> Vec<u8> {
        let wide = |number: &BoxedUint| widened(&number.to_be_bytes(), 128);
        wide(left).wrapping_mul(wide(right)).to_be_bytes().to_vec()
    }

    fn number(text: &str) -> BoxedUint {
        BoxedUint::from_be_hex(text, 512).unwrap()
    }

    /// 2^511 + 111 and the next prime are near to each other; the third is elsewhere. Whether they are prime does not matter
    /// to the checks, small factors do.
    #[test]
    fn close_primes_are_found_and_others_are_not() {
        let near = number(&format!("8{}6f", "0".repeat(125)));
        let next = number(&format!("8{}{:x}", "0".repeat(124), 0x16f + 0x0e));
        assert!(has_close_primes(&product(&near, &next)));
        let far = number(&format!("c{}5", "5a".repeat(63)));
        assert!(!has_close_primes(&product(&near, &far)));
    }

    #[test]
    fn exponents_and_factors() {
        let modulus = product(&number(&format!("8{}6f", "0".repeat(125))), &number(&"f1".repeat(64)));
        assert_eq!(weakness(&modulus, &[3]), Some("its public exponent is below 65537"));
        assert_eq!(weakness(&modulus, &[0, 0, 1, 0, 2]), Some("its public exponent is even"));
        assert_eq!(weakness(&[0xff; 256], EXPONENT), Some("its modulus has a small factor"));
    }

    /// A modulus of powers of 65537 modulo the product of the first primes, as the generator makes them.
    #[test]
    fn moduli_of_the_faulty_generator_are_found() {
        let power = |exponent: u32| (0..exponent).fold(1_u128, |power, _| power * 65_537 % PRIMORIAL);
        // The product of the primes from 3 to 97 fits; the others are left to chance for this number.
        const PRIMORIAL: u128 = 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23;
        let modulus = (power(5) * power(9) % PRIMORIAL).to_be_bytes();
        for prime in [3, 5, 7, 11, 13, 17, 19, 23] {
            let rest = remainder(&modulus, prime);
            assert!(
                (0..prime)
                    .any(|exponent| u32::try_from(power(exponent) % u128::from(prime)).unwrap() == rest)
            );
        }
        assert!(is_roca(&[1]), "1 is a power modulo every prime");
        assert!(!is_roca(&[0xd3; 256]));
    }
}
