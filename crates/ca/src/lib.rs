//! certadm-ca
