//! The endpoint mapper (wire.md 1.6).

use certadm_wire::rpc::{LookupHandle, MapperRequest, MapperResponse, Tower};

use crate::stub::{read, written};

/// The input is a stub of whichever method.
pub(crate) fn run(data: &[u8]) {
    for opnum in [3, 4] {
        if let Ok(Some(request)) = MapperRequest::read(opnum, &mut read(data)) {
            let stub = written(|writer| request.write(writer));
            assert_eq!(MapperRequest::read(opnum, &mut read(&stub)), Ok(Some(request)));
        }
    }
    let handle = LookupHandle::default();
    for request in [
        MapperRequest::Map { object: None, tower: None, handle, max_towers: 4 },
        MapperRequest::Free { handle },
    ] {
        if let Ok(response) = MapperResponse::read(&request, &mut read(data)) {
            response.towers.iter().for_each(tcp);
            let stub = written(|writer| response.write(&request, writer));
            assert_eq!(MapperResponse::read(&request, &mut read(&stub)), Ok(response));
        }
    }
}

fn tcp(tower: &Tower) {
    if let Some(tcp) = tower.as_tcp() {
        assert_eq!(Tower::tcp(tcp).as_tcp(), Some(tcp));
    }
}
