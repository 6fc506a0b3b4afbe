//! The kinds of findings, in the order in which they are told.

/// Makes the type, [`Kind::ALL`] and [`Kind::key`] out of rows `Name = "key", "what it means";`.
macro_rules! kinds {
    ($( $(#[$comment:meta])* $name:ident = $key:literal, $text:literal; )+) => {
        /// What kind of finding it is. Kinds order as they are told: a cause stands before what follows from it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Kind {
            $( #[doc = concat!("`", $key, "`: ", $text, ".")] $name, )+
        }

        impl Kind {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$( Self::$name ),+];

            /// Its name for programs, which stays.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $( Self::$name => $key, )+ }
            }

            /// What findings of this kind say.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $( Self::$name => $text, )+ }
            }
        }
    };
}

kinds! {
    // Gates on the way to a CA (doctor), in the order in which they are tried.
    GateName = "gate-name", "the name stands for an address or a socket, or does not";
    GatePort = "gate-port", "the resolver's port or the socket can be reached, or cannot";
    GateResolver = "gate-resolver", "an object resolver answers there, or does not";
    GateKdc = "gate-kdc", "a KDC of the account's realm is found, or is not";
    GateClock = "gate-clock", "the KDC's clock is this machine's, or is another one";
    GateTicket = "gate-ticket", "the KDC logs the account on, or does not";
    GateServiceTickets = "gate-service-tickets", "the KDC gives tickets for the server, or does not";
    GateKeytab = "gate-keytab", "the service's keytab can be used, or cannot";
    GateAcceptance = "gate-acceptance", "a ticket is accepted by the service's keys, or is not";
    GateAuthentication = "gate-authentication", "account and password are accepted, or are not";
    GateActivation = "gate-activation", "the CA's administration object can be activated, or cannot";
    GateExporter = "gate-exporter", "the object's own port can be reached, or cannot";
    GatePrivacy = "gate-privacy", "calls are signed and encrypted, or are not";
    GateState = "gate-state", "the CA serves requests and may be read, or not";
    GateRole = "gate-role", "the account has the operator role, or lacks it";
    GateInterfaceFlags = "gate-interface-flags", "the CA's interface flags allow a backup, or refuse it";
    GateLastFull = "gate-last-full", "a backup can begin, or cannot; whether a full one is on record";

    // The logon on the way to a CA.
    ServerClock = "server-clock", "the clocks of the CA's machine and of the KDC are too far apart";
    NtlmTaken = "ntlm-taken", "the logon was by NTLM, because Kerberos could not be had";
    SecretExposed = "secret-exposed", "others can read the file with the secret of a logon";

    // What was named is not there, or nothing of it can be used.
    NotASet = "not-a-set", "what was named holds no backup set";
    Manifest = "manifest", "the manifest is damaged or of another version";
    Signature = "signature", "a set is not signed by one whose signature counts, or its signature is damaged";
    Combination = "combination", "the sets given do not go together";
    Internal = "internal", "the check itself failed";
    Unreadable = "unreadable", "a file cannot be read";
    Configuration = "configuration", "the CA's configuration cannot be used";

    // Files as a whole.
    FileMissing = "file-missing", "a file is missing";
    NotAFile = "not-a-file", "what should be a file is a link, a folder, a device or a pipe";
    FileSize = "file-size", "a file has another size than it should";
    FileChanged = "file-changed", "a file has other bytes than were backed up";
    NotADatabase = "not-a-database", "a file is no database, or both copies of its header are damaged";
    HeaderCopies = "header-copies", "one copy of the database header is damaged, or the two differ";
    EngineHistory = "engine-history", "the engine noted checksum errors or repairs in the header";

    // Pages, and what is made of them.
    PageChecksum = "page-checksum", "the checksum of a page is wrong";
    MisplacedPage = "misplaced-page", "a page was written to the wrong place";
    FlippedBit = "flipped-bit", "one bit of a page or of a log is flipped; reading corrects it";
    PageStructure = "page-structure", "a page contradicts itself although its checksum is right";
    PageNotWritten = "page-not-written", "a page that a tree refers to was never written";
    Tree = "tree", "the pages of a tree do not fit together";
    IndexMismatch = "index-mismatch", "an index does not fit its table";
    LongValue = "long-value", "a long value lacks a part, or is not there";
    TableMismatch = "table-mismatch", "two tables that have the same rows differ";
    UnknownObject = "unknown-object", "a page belongs to an object that the catalog does not know";
    Catalog = "catalog", "the catalog of the database cannot be read";
    Space = "space", "the free pages of a tree cannot be told";
    More = "more", "further findings of one kind were left out";
    PatchPage = "patch-page", "the patch page of a backup copy is missing, does not fit, or says which logs it needs";
    UnusualState = "unusual-state", "the database is in the middle of a rare operation";

    // Logs. One that cannot be used counts as missing, and then the others do not fit together.
    LogVersion = "log-version", "a log was written by another version of the engine";
    LogHeader = "log-header", "the header of a log is damaged";
    LogName = "log-name", "the name of a log and the generation in it disagree";
    LogMissing = "log-missing", "a log is missing";
    LogSize = "log-size", "the size of a log is not what its header says";
    LogDamaged = "log-damaged", "a log is damaged inside";
    LogTorn = "log-torn", "the last write to a log was torn";
    LogForeign = "log-foreign", "a log belongs to another sequence or another database";
    LogStray = "log-stray", "a current log (edb.log) that does not belong to a set lies beside its logs";
    LogChain = "log-chain", "a log does not continue the one before it";

    // What follows for the database.
    DirtyShutdown = "dirty-shutdown", "the database was not closed cleanly and needs its logs";
    DatabaseImage = "database-image", "the image of the database is damaged or not what it should be";
    DatabaseUnsound = "database-unsound", "the recovered database fails its integrity check";
    ForeignSchema = "foreign-schema", "the database has a trigger, view, table or index that is not a CA's, or lacks one, or has not one well-formed row in `store_state`";
    DatabaseUnreadable = "database-unreadable", "the database of a CA cannot be read";
    Replay = "replay", "the logs cannot be replayed into the database";

    // What stands beside the database.
    RestoreMap = "restore-map", "the restore map is missing, damaged, or names another database";
    Checkpoint = "checkpoint", "the checkpoint file cannot be used, or only its second copy";
    UnknownFile = "unknown-file", "a file in the set is not in its manifest";
    Incomplete = "incomplete", "the set has no manifest, so nothing says which files it should have";
    LogSet = "log-set", "a log set is restored together with the full set that it continues";

    // A CA's folder.
    RestoreRecord = "restore-record", "the record of a restore is malformed";
    RestoreWaiting = "restore-waiting", "a restore waits for the next start of the CA, or for its record to be removed";
    RestoreUnfinished = "restore-unfinished", "a restore was begun and not completed, or failed";
    AnotherCa = "another-ca", "the database is of another CA than the folder's key";
    MixedOwners = "mixed-owners", "files in the CA's folder belong to another account than the folder";
    DiskSpace = "disk-space", "the disk of the CA is nearly full";
    KeyMissing = "key-missing", "the CA's private key is not in its folder";
    FolderExposed = "folder-exposed", "others can read the CA's folder, or write to it";
    KeyExposed = "key-exposed", "others can read the CA's private key";
    AccountsExposed = "accounts-exposed", "others can read the accounts of the CA's service";
    CertificateMissing = "certificate-missing", "the CA's certificate is not in its folder";
    CertificateExpired = "certificate-expired", "the CA's own certificate has expired";
    CertificateEnding = "certificate-ending", "the CA's own certificate ends soon";
    CrlExpired = "crl-expired", "the last CRL has expired";
    CrlDue = "crl-due", "the last CRL is past the part of its life after which a new one is due";
    Clock = "clock", "a backup or CRL is dated in the future, so the clock is or was wrong";
    BackupOld = "backup-old", "the last backup is too long ago";
    NoFullBackup = "no-full-backup", "no full backup is on record";
    LockEnds = "lock-ends", "objects that a set in a bucket needs have no lock, or one that ends soon";
    CircularLogging = "circular-logging", "circular logging is on, so only full backups are possible";

    // A rehearsal.
    FewerCertificates = "fewer-certificates", "the backup has fewer certificates than at the last rehearsal";

    // CRLs that are made without their CA.
    CrlKey = "crl-key", "a key of the CA gets no CRL";
    KeyUnprotected = "key-unprotected", "nothing in a key file shows whether it was changed";
    KeyLeftOut = "key-left-out", "a key file holds a further key that is of no use here";
    CrlUnknownCertificate = "crl-unknown-certificate", "a CRL lists certificates that the database does not know";
    CrlContradiction = "crl-contradiction", "database and published CRL disagree about certificates";
    CrlLeftOut = "crl-left-out", "revocations of the database are not in the CRL";
    CrlOrder = "crl-order", "a revocation that was ordered changes nothing";
    CrlExtension = "crl-extension", "an extension of the last CRL is not in the new one";
    CrlValidity = "crl-validity", "the dates of a CRL are unusual";
    CrlEarlierState = "crl-earlier-state", "the CRL was made from an earlier state than the last one of the sets";
    CrlNotCompared = "crl-not-compared", "the CRL was made without the one that the CA published last";

    // What stands beside the database and brings the CA back with it.
    IdentityPart = "identity-part", "something of the identity part could not be fetched, stored or used";

    // What a lost CA did after its last backup.
    SourceUnreadable = "source-unreadable", "a source of what the CA issued cannot be read, or not to its end";
    SourceSilent = "source-silent", "a source says nothing of what the CA issued";
    GapCertificates = "gap-certificates", "the CA issued certificates that the database does not know";
    GapUnaccounted = "gap-unaccounted", "nothing is known of requests after the last one of the database";
    GapRevoked = "gap-revoked", "certificates changed their revocation after the backup";
    GapContradiction = "gap-contradiction", "a source and the database say what cannot both be";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_kebab_case_and_each_is_there_once() {
        let keys: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.key()).collect();
        assert_eq!(keys.len(), Kind::ALL.len());
        for key in keys {
            let words =
                key.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
            assert!(words, "{key}");
        }
    }

    #[test]
    fn damage_is_told_before_what_follows_from_it() {
        let chains = [
            [Kind::FileSize, Kind::PageChecksum, Kind::Catalog, Kind::Replay],
            [Kind::LogHeader, Kind::LogMissing, Kind::DirtyShutdown, Kind::Replay],
            [Kind::FileChanged, Kind::LogDamaged, Kind::DatabaseUnsound, Kind::Incomplete],
        ];
        for chain in chains {
            assert!(chain.is_sorted(), "{chain:?}");
        }
    }
}
