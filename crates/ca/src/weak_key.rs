//! RSA keys that are long enough and weak all the same.

use num_bigint::BigUint;
use num_traits::ToPrimitive;

/// The smallest public exponent: with smaller ones, careless padding of others gives messages or signatures away.
const MIN_EXPONENT: u32 = 65_537;
/// A product of primes so near to each other is found by Fermat's method in so many steps (Baseline Requirements 6.1.1.6).
const FERMAT_STEPS: usize = 100;

/// Why a key of these numbers is weak; nothing when no weakness is known.
pub(crate) fn weakness(modulus: &BigUint, exponent: &BigUint) -> Option<&'static str> {
    if *exponent < BigUint::from(MIN_EXPONENT) {
        return Some("its public exponent is below 65537");
    }
    if !exponent.bit(0) {
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

fn remainder(number: &BigUint, by: u32) -> u32 {
    // invariant: what is left is below the divisor
    (number % by).to_u32().unwrap_or_default()
}

/// Primes of the faulty generator are powers of 65537 modulo each of the first primes, and so is their product. Of other
/// numbers one in 2^150 is.
fn is_roca(modulus: &BigUint) -> bool {
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
fn has_close_primes(modulus: &BigUint) -> bool {
    let mut root = modulus.sqrt();
    if &root * &root < *modulus {
        root += 1_u32;
    }
    let mut difference = &root * &root - modulus;
    for _ in 0..FERMAT_STEPS {
        if is_square(&difference) {
            return true;
        }
        difference += &root * 2_u32 + 1_u32;
        root += 1_u32;
    }
    false
}

fn is_square(number: &BigUint) -> bool {
    // Most numbers are told by what they leave, which is quicker than a root.
    let is_residue = |by: u32| {
        let rest = remainder(number, by);
        (0..by).any(|root| root * root % by == rest)
    };
    [64, 63, 65, 11, 17, 19, 23, 31].into_iter().all(is_residue) && {
        let root = number.sqrt();
        &root * &root == *number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> BigUint {
        BigUint::parse_bytes(text.as_bytes(), 16).unwrap()
    }

    /// 2^511 + 111 and the next prime are near to each other; the third is elsewhere. Whether they are prime does not matter
    /// to the checks, small factors do.
    #[test]
    fn close_primes_are_found_and_others_are_not() {
        let near = number(&format!("8{}6f", "0".repeat(125)));
        let next = number(&format!("8{}{:x}", "0".repeat(124), 0x16f + 0x0e));
        assert!(has_close_primes(&(&near * &next)));
        assert!(has_close_primes(&(&near * &near)));
        let far = number(&format!("c{}5", "5a".repeat(63)));
        assert!(!has_close_primes(&(&near * &far)));
    }

    #[test]
    fn exponents_and_factors() {
        let modulus = number(&format!("8{}6f", "0".repeat(125))) * number(&"f1".repeat(64));
        let with = |exponent: u32| weakness(&modulus, &BigUint::from(exponent));
        assert_eq!(with(0), Some("its public exponent is below 65537"));
        assert_eq!(with(1), Some("its public exponent is below 65537"));
        assert_eq!(with(3), Some("its public exponent is below 65537"));
        assert_eq!(with(65_538), Some("its public exponent is even"));
        let all_ones = number(&"ff".repeat(256));
        assert_eq!(weakness(&all_ones, &BigUint::from(65_537_u32)), Some("its modulus has a small factor"));
    }

    /// A modulus of powers of 65537 modulo the product of the first primes, as the generator makes them.
    #[test]
    fn moduli_of_the_faulty_generator_are_found() {
        let power = |exponent: u32| (0..exponent).fold(1_u128, |power, _| power * 65_537 % PRIMORIAL);
        // The product of the primes from 3 to 97 fits; the others are left to chance for this number.
        const PRIMORIAL: u128 = 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23;
        let modulus = BigUint::from(power(5) * power(9) % PRIMORIAL);
        for prime in [3, 5, 7, 11, 13, 17, 19, 23] {
            let rest = remainder(&modulus, prime);
            assert!(
                (0..prime)
                    .any(|exponent| u32::try_from(power(exponent) % u128::from(prime)).unwrap() == rest)
            );
        }
        assert!(is_roca(&BigUint::from(1_u32)), "1 is a power modulo every prime");
        assert!(!is_roca(&BigUint::from_bytes_be(&[0xd3; 256])));
    }
}
