//! System suites; see tests/system.
