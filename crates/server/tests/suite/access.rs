//! Who may call what, every opnum for every kind of caller; nothing is revealed before it is allowed (wire.md 5.1, 5.3).

use certadm_auth::Flavour;
use certadm_ca::Shutdown;
use certadm_rules::flags::InterfaceFlags;
use certadm_server::{Limits, UserFile};
use certadm_wire::csra::Request;
use certadm_wire::dcom::Iid;
use certadm_wire::ndr::Writer;
use certadm_wire::rpc::AuthLevel;

use crate::peer::{Failed, Object, Peer, activate, code_of, prepare, stub};
use crate::world::{OPEN, PASSWORD, USERS, World, wait_until};

pub(crate) const DENIED: u32 = 0x8007_0005;
pub(crate) const OPNUMS: std::ops::RangeInclusive<u16> = 3..=48;

/// The table of wire.md 5.3 once more, by hand: the accounts that may.
pub(crate) fn may(opnum: u16) -> &'static [&'static str] {
    match opnum {
        19 => &["operator", "admin", "officer", "auditor", "reader", "enrollee", "nobody"],
        20..=27 | 29 | 30 => &["operator"],
        17 => &["operator", "admin"],
        18 | 38 => &["admin"],
        // every role implies Read (certadm_rules's `Roles::with_implied`)
        7 | 9 | 11..=16 | 32 | 34..=36 | 40 | 42 | 44 | 47 => {
            &["operator", "admin", "officer", "auditor", "reader", "enrollee"]
        }
        3..=6 | 10 | 28 | 39 | 46 => &["officer"],
        8 | 31 | 33 | 37 | 43 | 45 => &["admin"],
        41 => &["admin", "auditor"],
        48 => &[], // administrator and officer at once
        _ => unreachable!(),
    }
}

/// Arguments that decode, and do no harm where they are allowed.
pub(crate) fn arguments(opnum: u16) -> Vec<u8> {
    stub(|writer: &mut Writer| match opnum {
        17 => drop(writer.null().u32(9)),
        20 => drop(writer.null().u32(0x10).u32(0).u32(0).u32(0)),
        24 => drop(writer.null()),
        25 => drop(writer.u32(0)),
        44 | 45 => {
            writer.null().null().wide_string("Nothing");
            writer.u32(1).zeros(64);
        }
        _ => drop(writer.zeros(128)),
    })
}

/// Whether the call was refused, and whether the refusal says nothing but that.
pub(crate) fn is_denied(answer: Result<Vec<u8>, Failed>) -> bool {
    match answer {
        Ok(answer) if code_of(&answer) == DENIED => {
            let silent = &answer[..answer.len() - 4];
            // a VARIANT has its marker and size even when it is empty
            assert!(silent.len() <= 48, "a refusal of {} bytes", answer.len());
            true
        }
        Ok(_) => false,
        Err(Failed::Fault(5)) => true,
        // OpenView takes more than zeros.
        Err(Failed::Fault(0x6F7)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_method_for_every_role() {
    // Where everybody with the role may stop the service.
    let world = World::with_settings(|settings| settings.allowed.shutdown = Shutdown::Everybody);
    every_cell(|user| Object::tcp(&world, user));
}

/// Calls every method as every user, by an object of his, and compares who is refused with [`may`].
pub(crate) fn every_cell(object_of: impl Fn(&str) -> Object) {
    let mut cells = 0;
    for (user, _) in USERS.iter().filter(|(user, _)| *user != "other") {
        let mut object = object_of(user);
        for opnum in OPNUMS {
            let answer = object.peer.request(0, opnum, Some(object.ipid.0), &arguments(opnum));
            assert_eq!(is_denied(answer), !may(opnum).contains(user), "{user} calls {opnum}");
            cells += 1;
        }
    }
    assert_eq!(cells, 7 * 46);
}

#[test]
fn nobody_without_proof_and_below_privacy() {
    let world = World::new();
    let operator = Object::tcp(&world, "operator");
    let mut cells = 0;
    for level in [None, Some(AuthLevel::Connect), Some(AuthLevel::Packet), Some(AuthLevel::Integrity)] {
        for opnum in OPNUMS {
            let mut peer = Peer::tcp(world.addresses.exporter);
            match level {
                None => peer.bind(0, Iid::CERT_ADMIN_2, false).unwrap(),
                Some(level) => {
                    peer.bind_as(Iid::CERT_ADMIN_2, "operator", PASSWORD, level, Flavour::Ntlm).unwrap();
                }
            }
            let answer = peer.request(0, opnum, Some(operator.ipid.0), &arguments(opnum));
            if level != Some(AuthLevel::Integrity) {
                assert_eq!(answer, Err(Failed::Fault(5)), "{level:?} calls {opnum}");
            }
            assert!(is_denied(answer), "{level:?} calls {opnum}");
            cells += 1;
        }
    }
    assert_eq!(cells, 4 * 46);
}

#[test]
fn wrong_passwords_anonymous_and_unknown_accounts_get_nowhere() {
    let world = World::new();
    for (user, password) in [("operator", "wrong"), ("stranger", PASSWORD), ("Guest", "guest")] {
        for flavour in [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego] {
            let mut peer = Peer::tcp(world.addresses.resolver);
            let bound = peer.bind_as(Iid::REMOTE_SCM_ACTIVATOR, user, password, AuthLevel::Privacy, flavour);
            let refused = bound.and_then(|()| activate(&mut peer, 0));
            assert!(refused.is_err(), "{user}");
            assert_ne!(refused, Err(Failed::Nak(0)));
        }
    }
    assert_eq!(world.stopper.load().1, 0);
}

#[test]
fn every_interface_flag_for_both_kinds_of_caller() {
    // (flag, remote administration, remote backup, local administration, local backup)
    let table = [
        (0x000, true, true, true, true),
        (0x010, false, false, true, true),
        (0x020, true, true, false, false),
        (0x040, true, false, true, true),
        (0x080, true, true, true, false),
        (0x400, true, true, true, true),
        (0x641, true, false, true, true),
    ];
    let state = Request::GetServerState { authority: None };
    let locations = Request::RestoreGetDatabaseLocations;
    for (flags, remote, remote_backup, local, local_backup) in table {
        let world = World::with(InterfaceFlags::from_bits(flags), Limits::default());
        let mut over_tcp = Object::tcp(&world, "operator");
        assert_eq!(over_tcp.code(&state) == 0, remote, "{flags:#x}");
        assert_eq!(over_tcp.code(&locations) == 0, remote_backup, "{flags:#x}");
        assert_eq!(over_tcp.code(&prepare(0x10)) == DENIED, !remote_backup, "{flags:#x}");
        let mut over_socket = Object::unix(&world);
        assert_eq!(over_socket.code(&state) == 0, local, "{flags:#x}");
        assert_eq!(over_socket.code(&locations) == 0, local_backup, "{flags:#x}");
    }
}

#[test]
fn a_right_taken_away_is_gone_at_the_next_call() {
    let world = World::with(OPEN, Limits::default());
    let mut operator = Object::tcp(&world, "operator");
    assert_eq!(operator.code(&prepare(0)), 0);
    UserFile::in_folder(world.folder().path()).remove("operator").unwrap();
    // By a fault, unless the service has ended the connection already.
    let refused = operator.call(&Request::BackupGetAttachmentInformation);
    assert!(matches!(refused, Err(Failed::Fault(5) | Failed::Closed)), "{refused:?}");
}

/// Stopping the service is for those on its machine, unless the administrator says otherwise.
#[test]
fn callers_over_the_network_do_not_stop_the_service() {
    let stop = Request::ServerControl { authority: None, flags: 1 };
    for (shutdown, remote, local) in
        [(Shutdown::Local, DENIED, 0), (Shutdown::Nobody, DENIED, DENIED), (Shutdown::Everybody, 0, DENIED)]
    {
        let mut world = World::with_settings(|settings| settings.allowed.shutdown = shutdown);
        for user in ["operator", "admin"] {
            if remote == DENIED {
                assert_eq!(Object::tcp(&world, user).code(&stop), DENIED, "{shutdown:?} {user}");
            }
        }
        if remote == 0 {
            assert_eq!(Object::tcp(&world, "admin").code(&stop), 0);
            world.wait();
        } else {
            assert_eq!(Object::unix(&world).code(&stop), local, "{shutdown:?}");
            if local == 0 {
                world.wait();
            }
        }
    }
}

#[test]
fn another_callers_backup_is_out_of_reach() {
    let world = World::new();
    let mut operator = Object::tcp(&world, "operator");
    assert_eq!(operator.code(&prepare(0)), 0);
    let mut other = Object::tcp(&world, "other");
    other.ipid = operator.ipid;
    for request in [
        Request::BackupGetAttachmentInformation,
        Request::BackupEnd,
        Request::BackupTruncateLogs,
        prepare(0),
        Request::BackupOpenFile { path: None },
    ] {
        assert_eq!(other.code(&request), DENIED, "{request:?}");
    }
    assert_eq!(operator.code(&Request::BackupGetAttachmentInformation), 0);
}

#[test]
fn an_address_that_guesses_is_shut_out() {
    let world = World::with(OPEN, Limits { free_failures: 3, ..Limits::default() });
    let log_on = |password| {
        let mut peer = Peer::tcp(world.addresses.resolver);
        peer.bind_as(Iid::REMOTE_SCM_ACTIVATOR, "operator", password, AuthLevel::Privacy, Flavour::Spnego)
    };
    for _ in 0..5 {
        assert!(log_on("wrong").is_err());
    }
    // The right password does not help while it lasts. A busy machine may come too late with it: each further guess lasts
    // twice as long.
    wait_until("the right password is refused as well", || {
        assert!(log_on("wrong").is_err());
        log_on(PASSWORD) == Err(Failed::Closed)
    });
    wait_until("the address is listened to again", || log_on(PASSWORD).is_ok());
    Object::tcp(&world, "operator");
}

#[test]
fn truncation_can_be_switched_off() {
    let world = World::with_settings(|settings| settings.allowed.truncation = false);
    let mut operator = Object::tcp(&world, "operator");
    assert_eq!(operator.full_backup(), Err(Failed::Fault(DENIED)));
    assert_eq!(operator.code(&Request::BackupEnd), 0);
}
