//! certadm-auth
