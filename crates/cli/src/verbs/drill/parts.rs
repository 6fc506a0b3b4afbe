//! The parts of a CA that no set holds.

use std::fs;
use std::path::Path;

use certadm_files::{Access, IoContext, durable};

use crate::failure::Failure;

/// What no set holds, from one folder into another. What a restore has brought from the set's identity stays.
pub(super) fn copy_parts(from: &Path, to: &Path) -> Result<(), Failure> {
    for name in ["ca.key", "ca.crt", "ca.toml"] {
        if to.join(name).exists() {
            continue;
        }
        let bytes = fs::read(from.join(name)).during("read", &from.join(name))?;
        let access = if name == "ca.crt" { Access::Everyone } else { Access::Owner };
        durable::create(&to.join(name), &bytes, access)?;
    }
    Ok(())
}
