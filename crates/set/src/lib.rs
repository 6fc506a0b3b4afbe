//! certadm-set
