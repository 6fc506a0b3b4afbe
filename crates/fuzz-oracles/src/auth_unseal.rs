//! Messages that nobody sealed: none verifies.

pub(crate) use certadm_auth::fuzzing::unseal as run;
