//! Object references (wire.md 4.4).

use certadm_wire::dcom::{CustomObjRef, ObjRef};

/// The input is an OBJREF.
pub(crate) fn run(data: &[u8]) {
    if let Ok(objref) = ObjRef::decode(data) {
        assert_eq!(ObjRef::decode(&objref.encode()), Ok(objref));
    }
    if let Ok(custom) = CustomObjRef::decode(data) {
        assert_eq!(CustomObjRef::decode(&custom.encode()), Ok(custom));
    }
}
