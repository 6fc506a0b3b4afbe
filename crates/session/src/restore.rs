//! Registering a restore.
