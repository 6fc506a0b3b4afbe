//! certadm-store
