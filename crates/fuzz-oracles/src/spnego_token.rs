//! The tokens of SPNEGO (RFC 4178).

pub(crate) use certadm_auth::fuzzing::spnego_token as run;
