//! certadm-session
