//! certadm-proto
