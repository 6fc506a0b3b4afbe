//! Both ends of a logon in one process.

use certadm_auth::{Acceptor, AuthError, Established, Initiator};

/// Carries tokens between both ends until both are done.
pub(crate) fn shake_hands(
    mut client: Box<dyn Initiator>,
    mut server: Box<dyn Acceptor>,
) -> Result<(Established, Established), AuthError> {
    let mut token = Vec::new();
    let mut ends = (None, None);
    while ends.1.is_none() {
        let step = client.step(&token)?;
        ends.0 = ends.0.or(step.done);
        let step = server.step(&step.token_out)?;
        ends.1 = step.done;
        token = step.token_out;
    }
    match ends {
        (Some(client), Some(server)) => Ok((client, server)),
        _ => Err(AuthError::Finished),
    }
}
