//! What a client's AUTHENTICATE says beyond what sspi puts into it (MS-NLMP 3.1.5.1.2; wire.md 7, item 4): the service
//! that the client means (AV id 9), and no LMv2 response where the server sent its time.
//!
//! sspi copies the attributes of the challenge into its answer, so it is shown a challenge that has the target in it. Its
//! proof then covers the target. Its MIC covers a challenge that nobody sent; the MIC is therefore made again here, over
//! the messages that did travel.

use crate::error::AuthError;
use crate::ntlm::av_pairs::{AvPairs, AvPairsBuilder, id};
use crate::ntlm::crypto::{Key, message_integrity_code};
use crate::ntlm::messages::{Authenticate, Challenge};

/// The longest list of attributes that a challenge may have, in bytes: with the target it still fits a field.
const LONGEST_LIST: usize = 32 * 1024;
/// The longest service name, in bytes.
const LONGEST_TARGET: usize = 2048;

/// Checks that a service name can stand in an attribute.
///
/// # Errors
/// [`AuthError::InvalidInput`].
pub(crate) fn check_target(target: &str) -> Result<(), AuthError> {
    if target.is_empty() || LONGEST_TARGET < target.len() {
        return Err(AuthError::InvalidInput {
            what: "service name",
            remedy: "give 1 to 2048 bytes, such as HOST/ca01.corp.example",
        });
    }
    Ok(())
}

/// The challenge that sspi is to answer: the server's, with the target as an attribute.
///
/// # Errors
/// [`AuthError::Malformed`] for a list that is longer than any server's.
pub(crate) fn challenge_with_target(challenge: &[u8], target: &str) -> Result<Vec<u8>, AuthError> {
    let sent = Challenge::parse(challenge)?;
    if LONGEST_LIST < sent.target_info.len() {
        return Err(AuthError::Malformed { what: "NTLM attribute list" });
    }
    let pairs = AvPairs::parse(sent.target_info)?;
    // The target is the client's to name, whatever a server wrote there.
    let kept = pairs.iter().filter(|(attribute, _)| *attribute != id::TARGET_NAME);
    let list = kept
        .fold(AvPairsBuilder::new(), |list, (attribute, value)| list.bytes(attribute, value))
        .text(id::TARGET_NAME, target)
        .finish();
    Ok(Challenge { target_info: &list, ..sent }.encode())
}

/// The messages of an exchange as they travelled before AUTHENTICATE.
pub(crate) struct Travelled<'a> {
    pub(crate) negotiate: &'a [u8],
    pub(crate) challenge: &'a [u8],
}

/// The AUTHENTICATE to send: sspi's, without its LMv2 response if the server sent its time, and with the MIC over the messages
/// that travelled.
///
/// # Errors
/// [`AuthError::Malformed`] when sspi's message has another form than expected.
pub(crate) fn finished(
    mut authenticate: Vec<u8>,
    travelled: &Travelled<'_>,
    exported: &Key,
) -> Result<Vec<u8>, AuthError> {
    let challenge = Challenge::parse(travelled.challenge)?;
    let has_time =
        AvPairs::parse(challenge.target_info)?.iter().any(|(attribute, _)| attribute == id::TIMESTAMP);
    if has_time {
        let place = Authenticate::lm_response(&authenticate)?;
        authenticate.get_mut(place).unwrap_or_default().fill(0);
    }
    let mic = {
        let around = Authenticate::parse(&authenticate)?.split_at_mic()?;
        let messages = [travelled.negotiate, travelled.challenge, around.before, &[0; 16], around.after];
        message_integrity_code(exported, &messages)
    };
    authenticate.get_mut(Authenticate::MIC).unwrap_or_default().copy_from_slice(&mic.0);
    Ok(authenticate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ntlm::messages::Flags;

    fn challenge(list: &[u8]) -> Vec<u8> {
        Challenge { flags: Flags(0xe28a_8233), server_challenge: [7; 8], target_name: &[], target_info: list }
            .encode()
    }

    #[test]
    fn the_target_is_the_clients_and_nothing_else_changes() {
        let list = AvPairsBuilder::new()
            .text(id::TARGET_NAME, "HOST/other")
            .text(id::NETBIOS_COMPUTER, "CA1")
            .bytes(id::TIMESTAMP, &[1; 8])
            .finish();
        let shown = challenge_with_target(&challenge(&list), "HOST/ca1").unwrap();
        let shown = Challenge::parse(&shown).unwrap();
        assert_eq!((shown.server_challenge, shown.flags), ([7; 8], Flags(0xe28a_8233)));
        let pairs = AvPairs::parse(shown.target_info).unwrap();
        assert_eq!(pairs.target_name().as_deref(), Some("HOST/ca1"));
        assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), [1, 7, 9]);
    }

    #[test]
    fn lists_and_targets_of_any_length_are_answered() {
        let long = AvPairsBuilder::new().bytes(id::NETBIOS_COMPUTER, &vec![0; 40_000]).finish();
        assert!(challenge_with_target(&challenge(&long), "HOST/ca1").is_err());
        let some = AvPairsBuilder::new().bytes(id::NETBIOS_COMPUTER, &vec![0; 30_000]).finish();
        assert!(challenge_with_target(&challenge(&some), &"x".repeat(LONGEST_TARGET)).is_ok());
        assert!(check_target(&"x".repeat(LONGEST_TARGET + 1)).is_err());
        assert!(check_target("").is_err());
    }
}
