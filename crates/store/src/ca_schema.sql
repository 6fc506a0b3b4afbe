-- The tables of the CA, with the names and columns of the Windows CA database
-- (spec/ese.md section 12, without the `$` that marks a text column there), so that one
-- `list` command can show either.
--
-- * Dates are FILETIMEs: 100 ns since 1601-01-01 UTC, as 64-bit integers.
-- * Hashes and key identifiers are lower-case hex pairs with a space between them;
--   serial numbers are lower-case hex without spaces.
-- * A name part that occurs several times is one text with LF between the values.
-- * Dispositions: 15 the CA's own certificate, 20 issued, 21 revoked, 31 denied.
--
-- Executed once, at creation of the database, inside a transaction.

CREATE TABLE Requests (
    RequestID                  INTEGER PRIMARY KEY AUTOINCREMENT, -- a number never comes back
    RequestType                INTEGER, -- 0x100 PKCS#10
    RequestFlags               INTEGER,
    StatusCode                 INTEGER, -- HRESULT as a signed 32-bit number
    Disposition                INTEGER NOT NULL,
    SubmittedWhen              INTEGER,
    ResolvedWhen               INTEGER,
    RevokedWhen                INTEGER,
    RevokedEffectiveWhen       INTEGER,
    RevokedReason              INTEGER, -- RFC 5280 5.3.1
    EndorsementKeyHash         TEXT,
    EndorsementCertificateHash TEXT,
    RawRequest                 BLOB,    -- DER
    RawArchivedKey             BLOB,
    KeyRecoveryHashes          TEXT,
    RawOldCertificate          BLOB,
    RequestAttributes          TEXT,    -- name:value lines
    DispositionMessage         TEXT,
    RequesterName              TEXT,
    CallerName                 TEXT,
    SignerPolicies             TEXT,
    SignerApplicationPolicies  TEXT,
    DistinguishedName          TEXT,
    RawName                    BLOB,    -- DER
    Country                    TEXT,
    Organization               TEXT,
    OrganizationalUnit         TEXT,
    CommonName                 TEXT,
    Locality                   TEXT,
    StateOrProvince            TEXT,
    Title                      TEXT,
    GivenName                  TEXT,
    Initials                   TEXT,
    SurName                    TEXT,
    DomainComponent            TEXT,
    EMail                      TEXT,
    StreetAddress              TEXT,
    UnstructuredName           TEXT,
    UnstructuredAddress        TEXT,
    DeviceSerialNumber         TEXT,
    AttestationChallenge       BLOB,
    RawPrecertificate          BLOB
) STRICT;

-- Nearly every row is "issued" for most of its life: leaving those out keeps this index small
-- and spares every issue one page. A query that wants it says `Disposition <> 20 AND ...`.
CREATE INDEX RequestDispositionIndex ON Requests (Disposition, RequestID) WHERE Disposition <> 20;

-- One row for every request; the columns are filled on issue.
CREATE TABLE Certificates (
    RequestID              INTEGER PRIMARY KEY REFERENCES Requests (RequestID),
    EnrollmentFlags        INTEGER,
    GeneralFlags           INTEGER,
    PrivateKeyFlags        INTEGER,
    IssuerNameID           INTEGER, -- low 16 bits CA certificate index, high 16 bits CA key index
    NotBefore              INTEGER,
    NotAfter               INTEGER,
    PublicKeyLength        INTEGER, -- bits
    PublishExpiredCertInCRL INTEGER,
    CertificateHash2       TEXT,    -- SHA-1 of RawCertificate
    CertificateTemplate    TEXT,    -- name of the profile
    SerialNumber           TEXT,
    SubjectKeyIdentifier   TEXT,
    PublicKeyAlgorithm     TEXT,    -- object identifier
    RawCertificate         BLOB,    -- DER
    PublicKey              BLOB,    -- content of the subjectPublicKey bit string
    PublicKeyParams        BLOB,    -- DER of the algorithm's parameters
    UPN                    TEXT,
    DistinguishedName      TEXT,
    RawName                BLOB,
    Country                TEXT,
    Organization           TEXT,
    OrganizationalUnit     TEXT,
    CommonName             TEXT,
    Locality               TEXT,
    StateOrProvince        TEXT,
    Title                  TEXT,
    GivenName              TEXT,
    Initials               TEXT,
    SurName                TEXT,
    DomainComponent        TEXT,
    EMail                  TEXT,
    StreetAddress          TEXT,
    UnstructuredName       TEXT,
    UnstructuredAddress    TEXT,
    DeviceSerialNumber     TEXT
) STRICT;

-- UNIQUE is what keeps a serial number from being issued twice, whichever process issues it.
CREATE UNIQUE INDEX CertificateSerialNumberIndex2 ON Certificates (SerialNumber);
CREATE INDEX CertificateNotAfterIndex ON Certificates (NotAfter);
CREATE INDEX CertificateCommonNameIndex ON Certificates (CommonName) WHERE CommonName IS NOT NULL;

-- The rows of a request lie together, in the table itself: no index beside it that every issue
-- would have to write as well.
CREATE TABLE RequestAttributes (
    RequestID      INTEGER NOT NULL REFERENCES Requests (RequestID),
    AttributeName  TEXT NOT NULL,
    AttributeValue TEXT,
    PRIMARY KEY (RequestID, AttributeName)
) STRICT, WITHOUT ROWID;

CREATE TABLE CertificateExtensions (
    RequestID         INTEGER NOT NULL REFERENCES Requests (RequestID),
    ExtensionFlags    INTEGER, -- high 16 bits: 1 request, 2 policy, 3 admin, 4 server ...; low bits: 1 critical, 2 disabled
    ExtensionName     TEXT NOT NULL, -- object identifier
    ExtensionRawValue BLOB,          -- content of the extnValue octet string
    PRIMARY KEY (RequestID, ExtensionName)
) STRICT, WITHOUT ROWID;

CREATE TABLE CRLs (
    RowId                INTEGER PRIMARY KEY AUTOINCREMENT,
    Number               INTEGER NOT NULL, -- the CRL number extension
    MinBase              INTEGER, -- 0: a base CRL
    NameId               INTEGER,
    Count                INTEGER, -- entries
    ThisUpdate           INTEGER,
    NextUpdate           INTEGER,
    ThisPublish          INTEGER,
    NextPublish          INTEGER,
    Effective            INTEGER,
    PropgationComplete   INTEGER, -- spelled so
    CRLLastPublished     INTEGER,
    CRLPublishAttempts   INTEGER,
    CRLPublishFlags      INTEGER, -- 1 base, 2 delta, 4 complete
    CRLPublishStatusCode INTEGER,
    CRLPublishError      TEXT,
    RawCRL               BLOB     -- DER
) STRICT;
-- Not unique: a base CRL and the delta CRL that goes with it have one number.
CREATE INDEX CRLNumberIndex ON CRLs (Number);
