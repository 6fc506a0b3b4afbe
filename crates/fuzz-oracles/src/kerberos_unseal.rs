//! Messages sealed or signed with Kerberos that nobody sealed: none verifies, and what does not is wiped.
//!
//! The first byte chooses the etype, the second how long the token is.

use certadm_kerberos::crypto::{Etype, Key};
use certadm_kerberos::{Message, SealError, Sender, Unseal};

pub(crate) fn run(data: &[u8]) {
    let [choice, length, rest @ ..] = data else { return };
    let etype = Etype::ALL[usize::from(*choice) % Etype::ALL.len()];
    let key = Key::new(etype, &[0x5a; 32][..etype.key_size()]).expect("the size of the etype");
    let (token, body) = rest.split_at(rest.len().min((*length).into()));

    let mut unseal = Unseal::new(&key, Sender::Acceptor, true, 1);
    let mut opened = body.to_vec();
    let result = unseal.unseal(Message { header: b"head", body: &mut opened, trailer: b"trailer!" }, token);
    assert!(result.is_err(), "a message that nobody sealed opened");
    if result == Err(SealError::BadSignature) && opened != body {
        assert!(opened.iter().all(|byte| *byte == 0), "what did not verify is still there");
    }
    let again = unseal.unseal(Message { header: b"", body: &mut opened, trailer: b"" }, token);
    assert_eq!(again, Err(SealError::Broken));

    let mut unseal = Unseal::new(&key, Sender::Initiator, true, 1);
    assert!(unseal.verify(&[body], token).is_err(), "a message that nobody signed verified");
}
