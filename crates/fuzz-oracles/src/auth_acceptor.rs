//! The acceptors, raw NTLM and SPNEGO: nobody gets in who has no account.

pub(crate) use certadm_auth::fuzzing::acceptor as run;
