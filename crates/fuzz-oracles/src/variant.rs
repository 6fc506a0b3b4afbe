//! Configuration values (wire.md 3.10).

use certadm_wire::csra::Variant;

use crate::stub::{read, written};

/// The input is a VARIANT.
pub(crate) fn run(data: &[u8]) {
    match Variant::read(&mut read(data)) {
        Err(_) | Ok(Variant::Other { .. }) => {}
        Ok(variant) => {
            let stub = written(|writer| variant.write(writer));
            assert_eq!(Variant::read(&mut read(&stub)), Ok(variant));
        }
    }
}
