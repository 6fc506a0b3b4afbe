//! The messages of NTLM (MS-NLMP 2.2).

pub(crate) use certadm_auth::fuzzing::ntlm_message as run;
