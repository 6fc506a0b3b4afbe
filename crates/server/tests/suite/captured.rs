//! What Windows clients sent in the captures, sent to the service: their connections join the association group of the first one.
//! The captures lie beside the repository and not in it.

use certadm_wire::dcom::{ResolverResponse, ResolverStatus};
use certadm_wire::ndr::{ByteOrder, Reader};
use certadm_wire::rpc::{AckBody, BindBody, BindOutcome, Body, Pdu, SyntaxId};

use crate::peer::Peer;
use crate::world::World;

#[path = "../../../wire/tests/suite/capture.rs"]
mod capture;

use capture::Sent;

/// The group stands behind the header and two sizes of fragments.
const GROUP: std::ops::Range<usize> = 20..24;

fn bind_of(bytes: &[u8]) -> Option<BindBody> {
    match Pdu::decode(bytes).unwrap().body {
        Body::Bind(bind) | Body::AlterContext(bind) => Some(bind),
        _ => None,
    }
}

/// The first bind of the connections that fit.
fn bind_where(all: &[Sent], fits: impl Fn(&BindBody, &SyntaxId) -> bool) -> Vec<u8> {
    let mut connections = all.iter().filter(|sent| {
        // Of clients of the capture whose server answered.
        let bind = bind_of(&sent.pdus[0]).filter(|_| sent.answers(all).is_some());
        bind.is_some_and(|bind| fits(&bind, &bind.elements[0].abstract_syntax))
    });
    connections.next().expect("the capture has such a connection").pdus[0].clone()
}

/// Sends a bind or alter_context of a capture, with the group that this service gave; the answer to it.
fn answered(peer: &mut Peer, bytes: &[u8], group: u32) -> AckBody {
    let mut bytes = bytes.to_vec();
    bytes[GROUP].copy_from_slice(&group.to_le_bytes());
    assert!(peer.send_bytes(&bytes));
    let answer = peer.receive().expect("the service answers");
    match Pdu::decode(&answer).unwrap().body {
        Body::BindAck(ack) | Body::AlterContextResponse(ack) => ack,
        body => panic!("{body:?}"),
    }
}

#[test]
fn connections_of_windows_clients_join_the_group_of_the_first() {
    let Some(folder) = capture::folder() else { return };
    let patched = capture::read(&folder.join("activation-level5-patched-windows.pcap.zst"));
    let older = capture::read(&folder.join("dcom-registerxll.cap.zst"));
    let resolver = certadm_wire::dcom::Iid::OBJECT_EXPORTER.syntax();
    let activator = certadm_wire::dcom::Iid::REMOTE_SCM_ACTIVATOR.syntax();
    let unknown = certadm_wire::dcom::Iid::REM_UNKNOWN_2.syntax();
    let world = World::new();

    // ServerAlive2 without an account makes the group.
    let mut first = Peer::tcp(world.addresses.resolver);
    let bind = bind_where(&patched, |bind, syntax| bind.association_group == 0 && *syntax == resolver);
    let group = answered(&mut first, &bind, 0).association_group;
    assert_ne!(group, 0);
    let is_of_it = |sent: &&Sent| sent.pdus[0] == bind;
    let request = &patched.iter().find(is_of_it).unwrap().pdus[1];
    assert!(first.send_bytes(request));
    let answer = first.receive().unwrap();
    let Body::Response(response) = Pdu::decode(&answer).unwrap().body else { panic!("no answer") };
    let alive = ResolverResponse::read(5, &mut Reader::new(response.stub, ByteOrder::Little)).unwrap();
    assert_eq!(alive.status(), ResolverStatus::OK);

    // The activation logs on over a second connection, and names the group.
    let joining = bind_where(&patched, |bind, syntax| bind.association_group != 0 && *syntax == activator);
    let mut second = Peer::tcp(world.addresses.resolver);
    let ack = answered(&mut second, &joining, group);
    assert_eq!((ack.association_group, &ack.results[0]), (group, &BindOutcome::Accepted(SyntaxId::NDR)));

    // So does a further connection to the exporter, whose group is another one.
    let mut exporter = Peer::tcp(world.addresses.exporter);
    let bind = bind_where(&patched, |bind, syntax| bind.association_group == 0 && *syntax == unknown);
    let group = answered(&mut exporter, &bind, 0).association_group;
    let joining = bind_where(&patched, |bind, syntax| bind.association_group != 0 && *syntax == unknown);
    let mut further = Peer::tcp(world.addresses.exporter);
    assert_eq!(answered(&mut further, &joining, group).association_group, group);
    // A group that nobody has given is echoed, too: a client of before a restart goes on.
    let mut strange = Peer::tcp(world.addresses.exporter);
    assert_eq!(answered(&mut strange, &joining, 0x1234_5678).association_group, 0x1234_5678);

    // An alter_context with the group adds IClassFactory; NDR64 is not spoken.
    let mut altering = Peer::tcp(world.addresses.exporter);
    let bind = bind_where(&older, |bind, syntax| bind.association_group == 0 && *syntax == unknown);
    let group = answered(&mut altering, &bind, 0).association_group;
    let alter = older.iter().flat_map(|sent| &sent.pdus).find(|bytes| {
        let is_alter = matches!(Pdu::decode(bytes).unwrap().body, Body::AlterContext(_));
        is_alter && bind_of(bytes).is_some_and(|alter| alter.association_group != 0)
    });
    let ack = answered(&mut altering, alter.expect("it has one"), group);
    assert_eq!(ack.association_group, group);
    assert_eq!(ack.results[0], BindOutcome::Accepted(SyntaxId::NDR));
    assert!(matches!(ack.results[1], BindOutcome::ProviderRejection(_)));
}
