//! What a Windows server tells of a fault or a refused bind beside its status: the codes of the components that noticed it,
//! in words.

use std::fmt;

use certadm_rules::Hresult;
use certadm_wire::rpc::{ErrorRecord, FaultStatus};

use crate::answered;

/// The most of it that a message has room for.
const MOST_CODES: usize = 6;
/// The most letters of a machine's name.
const MOST_LETTERS: usize = 64;

/// The end of a message about a fault or a refused bind; empty when the server tells no more than its status. Nothing of it is signed, so it is
/// for people, and decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told(String);

impl Told {
    /// Takes what came with a fault of this status.
    pub(crate) fn of(status: FaultStatus, extended: &[u8]) -> Self {
        // The status of the fault stands in the message already.
        Self::beside(&[status.0, status.client_code()], extended)
    }

    /// Takes what came with a refused bind.
    pub(crate) fn of_refusal(extended: &[u8]) -> Self {
        Self::beside(&[], extended)
    }

    /// Takes extended error data, and leaves out the codes that the message has already.
    fn beside(said: &[u32], extended: &[u8]) -> Self {
        if extended.is_empty() {
            return Self::default();
        }
        match ErrorRecord::read_all(extended) {
            Ok(records) => Self::from_records(said, &records),
            Err(error) => {
                tracing::debug!(%error, ?said, "what a server tells of a failure");
                Self::default()
            }
        }
    }

    fn from_records(said: &[u32], records: &[ErrorRecord]) -> Self {
        let mut text = String::new();
        let mut codes = 0;
        for record in records {
            let news: Vec<String> = record
                .codes()
                .filter(|code| !said.contains(code))
                .take(MOST_CODES.saturating_sub(codes))
                .map(|code| format!("{code:#010x} ({})", meaning(code)))
                .collect();
            if news.is_empty() {
                continue;
            }
            codes += news.len();
            text.push_str(if text.is_empty() { "; the server tells: " } else { "; " });
            match record.component_name() {
                Some(name) => text.push_str(name),
                None => text.push_str(&format!("component {}", record.component)),
            }
            if let Some(computer) = &record.computer {
                // A name from outside: control characters and letters that are not seen are escaped.
                let shown: String = computer.chars().take(MOST_LETTERS).collect();
                text.push_str(&format!(" on {shown:?}"));
            }
            text.push_str(" says ");
            text.push_str(&news.join(", "));
        }
        Self(text)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A code in words: those of security providers, which no result of a backup has, and else the rules' words.
fn meaning(code: u32) -> &'static str {
    match code {
        5 | 0x8007_0005 => "access is denied",
        0x721 => "a security provider failed",
        0x8009_0302 => "the security provider does not support that",
        0x8009_0303 => "the service's name is unknown to the domain, or it has no key",
        0x8009_0304 => "the security provider cannot be reached",
        0x8009_0305 => "there is no such security provider",
        0x8009_0308 => "the token of the logon is invalid",
        0x8009_030C => "the logon is denied: account, password, or what the account may do",
        0x8009_030E => "there are no credentials",
        0x8009_030F => "the message was altered on its way, or the keys of both ends differ",
        0x8009_0310 => "the message is out of sequence",
        0x8009_0311 => "no domain controller can be asked for the logon",
        0x8009_0317 => "the logon has expired",
        0x8009_0321 => "the buffers of the message are too small",
        0x8009_0322 => "the ticket is for another service: its name stands at another account",
        0x8009_0324 => "the clocks of both machines differ by too much",
        0x8009_0330 => "the message cannot be decrypted",
        0x8009_0331 => "both ends have no algorithm in common",
        0x8009_0341 => "the kind of encryption is not supported",
        0x8009_0367 => "the logon lacks the channel bindings that the server wants",
        code => answered::text(Hresult::from_win32(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certadm_rules::FileTime;
    use certadm_wire::rpc::ErrorParameter;

    fn record(component: u32, status: u32, parameters: Vec<ErrorParameter>) -> ErrorRecord {
        let computer = Some("w2k8\u{202e}-211".to_owned());
        let time = FileTime::from_bits(0);
        ErrorRecord { computer, process: 1, time, component, status, location: 130, parameters }
    }

    #[test]
    fn codes_beyond_the_status_are_told_in_words() {
        let said = [0x721];
        let codes = vec![ErrorParameter::Long(0x8009_030F), ErrorParameter::Long(9)];
        let told = Told::from_records(&said, &[record(3, 0x721, codes), record(99, 5, Vec::new())]);
        assert_eq!(
            told.to_string(),
            "; the server tells: the security provider on \"w2k8\\u{202e}-211\" says 0x8009030f (the message was altered on its \
             way, or the keys of both ends differ); component 99 on \"w2k8\\u{202e}-211\" says 0x00000005 (access is denied)"
        );
        assert_eq!(Told::from_records(&said, &[record(3, 0x721, Vec::new())]), Told::default());
        assert_eq!(Told::of(FaultStatus(0x721), b"garbage"), Told::default());
        assert_eq!(Told::of_refusal(b"garbage"), Told::default());
    }

    #[test]
    fn a_chain_without_end_fills_no_screen() {
        let many = vec![ErrorParameter::Long(0x8009_0308); 60];
        let told = Told::from_records(&[5], &vec![record(2, 1726, many); 16]).to_string();
        assert_eq!(told.matches("0x8009").count() + told.matches("0x000006be").count(), MOST_CODES);
    }
}
