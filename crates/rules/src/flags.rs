//! The flag words of the API and of the CA, and what they mean once checked (certbcli.md 4, 12; D1, D8, D11, D14, D15).

use crate::Hresult;

/// `dwBackupFlags`: database and logs (certbcli.md 4.1).
pub const CSBACKUP_TYPE_FULL: u32 = 0x1;
/// `dwBackupFlags`: logs only (certbcli.md 4.1).
pub const CSBACKUP_TYPE_LOGS_ONLY: u32 = 0x2;
/// The bits of `dwBackupFlags` that exist (certbcli.md 4.1).
pub const CSBACKUP_TYPE_MASK: u32 = 0x3;
/// A log number of another API that disables incrementals there; inert here (certbcli.md 4.1).
pub const CSBACKUP_DISABLE_INCREMENTAL: u32 = 0xFFFF_FFFF;

/// `grbitJet`: logs only, on the wire (certbcli.md 2.2, 4.3).
pub const JET_BIT_BACKUP_INCREMENTAL: u32 = 0x1;

/// `dwRestoreFlags`: a full restore; clear for an incremental one (certbcli.md 4.1).
pub const CSRESTORE_TYPE_FULL: u32 = 0x1;
/// `dwRestoreFlags`: outside the mask, never supported (certbcli.md 4.1).
pub const CSRESTORE_TYPE_ONLINE: u32 = 0x2;
/// `dwRestoreFlags`: accepted and ignored (certbcli.md D15).
pub const CSRESTORE_TYPE_CATCHUP: u32 = 0x4;
/// The bits of `dwRestoreFlags` that may be set (certbcli.md 4.1).
pub const CSRESTORE_TYPE_MASK: u32 = 0x5;

/// `ServerControl`: stop the CA (certbcli.md 4.1).
pub const CSCONTROL_SHUTDOWN: u32 = 1;
/// `ServerControl`: succeeds without effect (certbcli.md 4.1).
pub const CSCONTROL_SUSPEND: u32 = 2;
/// `ServerControl`: succeeds without effect (certbcli.md 4.1).
pub const CSCONTROL_RESTART: u32 = 3;

/// Bit of a CA's audit filter: records of the service's start and stop, and of ServerControl (wire.md 5.9).
pub const AUDIT_SERVICE: u32 = 0x1;
/// Bit of a CA's audit filter: records of backups and restores (4876 to 4879).
pub const AUDIT_BACKUP: u32 = 0x2;
/// Audit certificates that are revoked: event 4870.
pub const AUDIT_REVOKE: u32 = 0x8;

/// What a backup asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackupType {
    /// The database and its logs.
    Full,
    /// The logs alone, to go with an earlier full backup.
    LogsOnly,
}

impl BackupType {
    /// What the arguments of `CertSrvBackupPrepareW` ask for (certbcli.md D1, D8).
    ///
    /// # Errors
    ///
    /// `E_INVALIDARG` when `backup_flags` is not exactly one of full and logs only, or when `grbit_jet` asks for logs
    /// and the flags for a full backup; 0xC8000384 for any other bit of `grbit_jet`. The flags are judged first.
    pub const fn from_api(grbit_jet: u32, backup_flags: u32) -> Result<Self, Hresult> {
        let backup_type = match backup_flags {
            CSBACKUP_TYPE_FULL => Self::Full,
            CSBACKUP_TYPE_LOGS_ONLY => Self::LogsOnly,
            _ => return Err(Hresult::E_INVALIDARG),
        };
        match (Self::from_wire(grbit_jet), backup_type) {
            (Ok(Self::LogsOnly), Self::Full) => Err(Hresult::E_INVALIDARG),
            (Ok(_), _) => Ok(backup_type),
            (Err(code), _) => Err(code),
        }
    }

    /// What the `grbitJet` of a `BackupPrepare` on the wire asks for; the wire's `dwBackupFlags` means nothing
    /// (certbcli.md D1).
    ///
    /// # Errors
    ///
    /// 0xC8000384 for any bit but the lowest.
    pub const fn from_wire(grbit_jet: u32) -> Result<Self, Hresult> {
        match grbit_jet {
            0 => Ok(Self::Full),
            JET_BIT_BACKUP_INCREMENTAL => Ok(Self::LogsOnly),
            _ => Err(Hresult::INVALID_GRBIT),
        }
    }

    /// The `grbitJet` that a client sends for it; `dwBackupFlags` is 0 beside it (certbcli.md D1).
    #[must_use]
    pub const fn wire_grbit(self) -> u32 {
        match self {
            Self::Full => 0,
            Self::LogsOnly => JET_BIT_BACKUP_INCREMENTAL,
        }
    }

    /// The `dwBackupFlags` of the C API for it.
    #[must_use]
    pub const fn api_flag(self) -> u32 {
        match self {
            Self::Full => CSBACKUP_TYPE_FULL,
            Self::LogsOnly => CSBACKUP_TYPE_LOGS_ONLY,
        }
    }
}

/// What a restore context was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestoreType {
    /// `CSRESTORE_TYPE_FULL`: a database may be registered, and logs-only sets after it.
    Full,
    /// The bit clear: logs-only sets alone.
    Incremental,
}

impl RestoreType {
    /// What the `dwRestoreFlags` of `CertSrvRestorePrepareW` ask for; the catch-up bit is ignored (certbcli.md D15).
    ///
    /// # Errors
    ///
    /// `E_INVALIDARG` for a bit outside [`CSRESTORE_TYPE_MASK`].
    pub const fn from_api(restore_flags: u32) -> Result<Self, Hresult> {
        if restore_flags & !CSRESTORE_TYPE_MASK != 0 {
            Err(Hresult::E_INVALIDARG)
        } else if restore_flags & CSRESTORE_TYPE_FULL != 0 {
            Ok(Self::Full)
        } else {
            Ok(Self::Incremental)
        }
    }
}

/// What `ServerControl` asks for (certbcli.md 6.12, D14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Control {
    /// Stop the CA; running backups are aborted.
    Shutdown,
    /// Succeed without effect.
    Suspend,
    /// Succeed without effect.
    Restart,
}

impl Control {
    /// What `dwControlFlags` asks for.
    ///
    /// # Errors
    ///
    /// `E_INVALIDARG` for any value but the three.
    pub const fn from_flags(control_flags: u32) -> Result<Self, Hresult> {
        match control_flags {
            CSCONTROL_SHUTDOWN => Ok(Self::Shutdown),
            CSCONTROL_SUSPEND => Ok(Self::Suspend),
            CSCONTROL_RESTART => Ok(Self::Restart),
            _ => Err(Hresult::E_INVALIDARG),
        }
    }
}

/// The smallest read buffer, in bytes (certbcli.md 6.4).
pub const MIN_READ_BUFFER: u32 = 64 * 1024;
/// The read buffer when the caller gives no hint, in bytes (certbcli.md D11).
pub const DEFAULT_READ_BUFFER: u32 = 512 * 1024;
/// The largest read buffer, in bytes (certbcli.md 6.4).
pub const MAX_READ_BUFFER: u32 = 4 * 1024 * 1024;

/// The size in bytes of a context's read buffer, from the `cbReadHintSize` of its first `OpenFile`: the power of two
/// nearest to the hint, ties upwards, between [`MIN_READ_BUFFER`] and [`MAX_READ_BUFFER`];
/// [`DEFAULT_READ_BUFFER`] for 0 (certbcli.md D11).
#[must_use]
pub const fn read_buffer_size(hint: u32) -> u32 {
    match hint {
        0 => DEFAULT_READ_BUFFER,
        1..=MIN_READ_BUFFER => MIN_READ_BUFFER,
        MAX_READ_BUFFER.. => MAX_READ_BUFFER,
        _ => {
            let lower = 1 << hint.ilog2();
            if hint - lower < lower / 2 { lower } else { lower * 2 }
        }
    }
}

/// Where a caller comes from. At our service every TCP caller is remote, over loopback too, and every caller of the
/// Unix socket is local (certbcli.md 12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Over TCP.
    Remote,
    /// Over the Unix socket.
    Local,
}

/// A CA's `InterfaceFlags`: who may use which interface (certbcli.md 12.2, wire.md 5.4). Bits without a name here are
/// kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceFlags(u32);

impl InterfaceFlags {
    /// `IF_LOCKICERTREQUEST`: no effect.
    pub const LOCK_REQUEST: u32 = 0x1;
    /// `IF_NOREMOTEICERTREQUEST`: no enrolment for remote callers.
    pub const NO_REMOTE_REQUEST: u32 = 0x2;
    /// `IF_NOLOCALICERTREQUEST`: no enrolment for local callers.
    pub const NO_LOCAL_REQUEST: u32 = 0x4;
    /// `IF_NORPCICERTREQUEST`: no enrolment over MS-ICPR.
    pub const NO_RPC_REQUEST: u32 = 0x8;
    /// `IF_NOREMOTEICERTADMIN`: no administration for remote callers.
    pub const NO_REMOTE_ADMIN: u32 = 0x10;
    /// `IF_NOLOCALICERTADMIN`: no administration for local callers.
    pub const NO_LOCAL_ADMIN: u32 = 0x20;
    /// `IF_NOREMOTEICERTADMINBACKUP`: no backup for remote callers. Part of the default.
    pub const NO_REMOTE_BACKUP: u32 = 0x40;
    /// `IF_NOLOCALICERTADMINBACKUP`: no backup for local callers.
    pub const NO_LOCAL_BACKUP: u32 = 0x80;
    /// `IF_NOSNAPSHOTBACKUP`: the database may be backed up through this interface only.
    pub const NO_SNAPSHOT_BACKUP: u32 = 0x100;
    /// `IF_ENFORCEENCRYPTICERTREQUEST`: enrolment needs packet privacy.
    pub const ENFORCE_ENCRYPTED_REQUEST: u32 = 0x200;
    /// `IF_ENFORCEENCRYPTICERTADMIN`: administration needs packet privacy. Our service always demands it over TCP.
    pub const ENFORCE_ENCRYPTED_ADMIN: u32 = 0x400;
    /// `IF_ENABLEEXITKEYRETRIEVAL`: of no concern here.
    pub const ENABLE_EXIT_KEY_RETRIEVAL: u32 = 0x800;
    /// `IF_ENABLEADMINASAUDITOR`: administrators may set the audit filter.
    pub const ENABLE_ADMIN_AS_AUDITOR: u32 = 0x1000;

    /// What a CA has that nobody configured: 0x641, remote backup off (certbcli.md D28).
    pub const DEFAULT: Self = Self(
        Self::LOCK_REQUEST
            | Self::NO_REMOTE_BACKUP
            | Self::ENFORCE_ENCRYPTED_REQUEST
            | Self::ENFORCE_ENCRYPTED_ADMIN,
    );

    /// The flags with these bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The same flags with these bits cleared.
    #[must_use]
    pub const fn without(self, bits: u32) -> Self {
        Self(self.0 & !bits)
    }

    /// Lets a caller use the administration interface at all.
    ///
    /// # Errors
    ///
    /// `E_ACCESSDENIED` when the flags refuse callers of this origin.
    pub const fn check_admin(self, origin: Origin) -> Result<(), Hresult> {
        self.check(match origin {
            Origin::Remote => Self::NO_REMOTE_ADMIN,
            Origin::Local => Self::NO_LOCAL_ADMIN,
        })
    }

    /// Lets a caller use the backup methods, which needs [`InterfaceFlags::check_admin`] as well.
    ///
    /// # Errors
    ///
    /// `E_ACCESSDENIED` when the flags refuse callers of this origin, for every gated method alike (certbcli.md 12.2).
    pub const fn check_backup(self, origin: Origin) -> Result<(), Hresult> {
        self.check(match origin {
            Origin::Remote => Self::NO_REMOTE_ADMIN | Self::NO_REMOTE_BACKUP,
            Origin::Local => Self::NO_LOCAL_ADMIN | Self::NO_LOCAL_BACKUP,
        })
    }

    const fn check(self, refusing: u32) -> Result<(), Hresult> {
        if self.0 & refusing == 0 { Ok(()) } else { Err(Hresult::E_ACCESSDENIED) }
    }
}

impl Default for InterfaceFlags {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The roles a caller has at the CA (certbcli.md 12.1, wire.md 5.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Roles(u32);

impl Roles {
    /// No role at all.
    pub const NONE: Self = Self(0);
    /// CA administrator.
    pub const ADMINISTRATOR: Self = Self(0x1);
    /// Officer: approves and revokes certificates.
    pub const OFFICER: Self = Self(0x2);
    /// Auditor.
    pub const AUDITOR: Self = Self(0x4);
    /// Operator: takes backups.
    pub const OPERATOR: Self = Self(0x8);
    /// Read.
    pub const READ: Self = Self(0x100);
    /// Enroll: asks for certificates.
    pub const ENROLL: Self = Self(0x200);

    /// The bits, as `GetMyRoles` returns them.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The roles of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether at least one of `others` is among these roles.
    #[must_use]
    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// The roles with those that they imply: every role implies Read. Administrator, officer and enroll do so by
    /// MS-CSRA; operator and auditor are defined as Read with a privilege, and off Windows the one role stands for both.
    #[must_use]
    pub const fn with_implied(self) -> Self {
        if self.0 == 0 { self } else { self.union(Self::READ) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_takes_exactly_one_type() {
        assert_eq!(BackupType::from_api(0, 1), Ok(BackupType::Full));
        assert_eq!(BackupType::from_api(0, 2), Ok(BackupType::LogsOnly));
        assert_eq!(BackupType::from_api(1, 2), Ok(BackupType::LogsOnly));
        assert_eq!(BackupType::from_api(1, 1), Err(Hresult::E_INVALIDARG));
        for flags in [0, 3, 4, 5, 0x8000_0001, u32::MAX] {
            assert_eq!(BackupType::from_api(0, flags), Err(Hresult::E_INVALIDARG));
            assert_eq!(BackupType::from_api(2, flags), Err(Hresult::E_INVALIDARG));
        }
        for grbit in [2, 3, 4, 0x10, u32::MAX] {
            assert_eq!(BackupType::from_api(grbit, 1), Err(Hresult::INVALID_GRBIT));
            assert_eq!(BackupType::from_api(grbit, 2), Err(Hresult::INVALID_GRBIT));
            assert_eq!(BackupType::from_wire(grbit), Err(Hresult::INVALID_GRBIT));
        }
    }

    #[test]
    fn the_wire_has_the_type_in_grbit() {
        for backup_type in [BackupType::Full, BackupType::LogsOnly] {
            assert_eq!(BackupType::from_wire(backup_type.wire_grbit()), Ok(backup_type));
            assert_eq!(BackupType::from_api(0, backup_type.api_flag()), Ok(backup_type));
        }
        assert_eq!((BackupType::Full.wire_grbit(), BackupType::LogsOnly.wire_grbit()), (0, 1));
    }

    #[test]
    fn restore_flags_keep_to_their_mask() {
        assert_eq!(RestoreType::from_api(0), Ok(RestoreType::Incremental));
        assert_eq!(RestoreType::from_api(1), Ok(RestoreType::Full));
        assert_eq!(RestoreType::from_api(4), Ok(RestoreType::Incremental));
        assert_eq!(RestoreType::from_api(5), Ok(RestoreType::Full));
        for flags in [CSRESTORE_TYPE_ONLINE, 3, 6, 7, 8, u32::MAX] {
            assert_eq!(RestoreType::from_api(flags), Err(Hresult::E_INVALIDARG));
        }
    }

    #[test]
    fn control_knows_three_values() {
        assert_eq!(Control::from_flags(1), Ok(Control::Shutdown));
        assert_eq!(Control::from_flags(2), Ok(Control::Suspend));
        assert_eq!(Control::from_flags(3), Ok(Control::Restart));
        for flags in [0, 4, u32::MAX] {
            assert_eq!(Control::from_flags(flags), Err(Hresult::E_INVALIDARG));
        }
    }

    #[test]
    fn read_buffers_are_powers_of_two_near_the_hint() {
        const KIB: u32 = 1024;
        let sizes = [
            (0, 512 * KIB),
            (1, 64 * KIB),
            (64 * KIB, 64 * KIB),
            (64 * KIB + 1, 64 * KIB),
            (96 * KIB - 1, 64 * KIB),
            (96 * KIB, 128 * KIB),
            (512 * KIB, 512 * KIB),
            (700 * KIB, 512 * KIB),
            (768 * KIB, 1024 * KIB),
            (3 * KIB * KIB - 1, 2 * KIB * KIB),
            (3 * KIB * KIB, 4 * KIB * KIB),
            (4 * KIB * KIB, 4 * KIB * KIB),
            (4 * KIB * KIB + 1, 4 * KIB * KIB),
            (u32::MAX, 4 * KIB * KIB),
        ];
        for (hint, size) in sizes {
            assert_eq!(read_buffer_size(hint), size, "hint {hint}");
        }
    }

    #[test]
    fn remote_backup_is_off_by_default() {
        let flags = InterfaceFlags::default();
        assert_eq!(flags.to_bits(), 0x641);
        assert_eq!(flags.check_admin(Origin::Remote), Ok(()));
        assert_eq!(flags.check_backup(Origin::Remote), Err(Hresult::E_ACCESSDENIED));
        assert_eq!(flags.check_backup(Origin::Local), Ok(()));
        let opened = flags.without(InterfaceFlags::NO_REMOTE_BACKUP);
        assert_eq!(opened.to_bits(), 0x601);
        assert_eq!(opened.check_backup(Origin::Remote), Ok(()));
    }

    #[test]
    fn each_gate_shuts_its_own_callers() {
        for (bit, admin, backup) in
            [(0x10, true, true), (0x20, false, false), (0x40, false, true), (0x80, false, false)]
        {
            let flags = InterfaceFlags::from_bits(bit);
            assert_eq!(flags.check_admin(Origin::Remote).is_err(), admin, "{bit:#x}");
            assert_eq!(flags.check_backup(Origin::Remote).is_err(), backup, "{bit:#x}");
        }
        for (bit, admin, backup) in
            [(0x10, false, false), (0x20, true, true), (0x40, false, false), (0x80, false, true)]
        {
            let flags = InterfaceFlags::from_bits(bit);
            assert_eq!(flags.check_admin(Origin::Local).is_err(), admin, "{bit:#x}");
            assert_eq!(flags.check_backup(Origin::Local).is_err(), backup, "{bit:#x}");
        }
    }

    #[test]
    fn every_role_implies_read() {
        for role in [
            Roles::ADMINISTRATOR,
            Roles::OFFICER,
            Roles::AUDITOR,
            Roles::OPERATOR,
            Roles::READ,
            Roles::ENROLL,
        ] {
            assert!(role.with_implied().has_any(Roles::READ));
            assert!(role.with_implied().has_any(role));
        }
        assert_eq!(Roles::NONE.with_implied(), Roles::NONE);
        assert_eq!(Roles::OPERATOR.with_implied().to_bits(), 0x108);
        assert!(!Roles::OPERATOR.with_implied().has_any(Roles::ADMINISTRATOR.union(Roles::OFFICER)));
    }
}
