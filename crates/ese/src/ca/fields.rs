//! The fields of the five views, under the names an administrator knows.
//!
//! A column the database lacks is left out; a column this list lacks is shown under its own name at the end, so that
//! nothing of a newer CA is hidden.

/// How the number or the bytes of a column are to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// As it is.
    Plain,
    /// A result code, shown as 8 hexadecimal digits.
    ResultCode,
    /// Flag bits, shown in hexadecimal.
    Flags,
    /// What became of a request.
    Disposition,
    /// Why a certificate was revoked.
    RevocationReason,
    /// The form of a request.
    RequestType,
    /// Where an extension came from.
    ExtensionFlags,
    /// What kind of list was published.
    CrlFlags,
    /// Yes or no.
    Truth,
}

/// One field: name, column, meaning.
pub(super) type FieldEntry = (&'static str, &'static str, Meaning);

use Meaning::{
    CrlFlags, Disposition, ExtensionFlags, Flags, Plain, RequestType, ResultCode, RevocationReason, Truth,
};

/// Of the table Requests.
pub(super) const REQUESTS: &[FieldEntry] = &[
    ("Request ID", "RequestID", Plain),
    ("Request Disposition", "Disposition", Disposition),
    ("Request Disposition Message", "DispositionMessage", Plain),
    ("Request Status Code", "StatusCode", ResultCode),
    ("Requester Name", "RequesterName", Plain),
    ("Caller Name", "CallerName", Plain),
    ("Request Submission Date", "SubmittedWhen", Plain),
    ("Request Resolution Date", "ResolvedWhen", Plain),
    ("Revocation Date", "RevokedWhen", Plain),
    ("Effective Revocation Date", "RevokedEffectiveWhen", Plain),
    ("Revocation Reason", "RevokedReason", RevocationReason),
    ("Request Type", "RequestType", RequestType),
    ("Request Flags", "RequestFlags", Flags),
    ("Request Attributes", "RequestAttributes", Plain),
    ("Request Distinguished Name", "DistinguishedName", Plain),
    ("Request Common Name", "CommonName", Plain),
    ("Request Country/Region", "Country", Plain),
    ("Request Organization", "Organization", Plain),
    ("Request Organization Unit", "OrganizationalUnit", Plain),
    ("Request City", "Locality", Plain),
    ("Request State", "StateOrProvince", Plain),
    ("Request Title", "Title", Plain),
    ("Request First Name", "GivenName", Plain),
    ("Request Initials", "Initials", Plain),
    ("Request Last Name", "SurName", Plain),
    ("Request Domain Component", "DomainComponent", Plain),
    ("Request Email Address", "EMail", Plain),
    ("Request Street Address", "StreetAddress", Plain),
    ("Request Unstructured Name", "UnstructuredName", Plain),
    ("Request Unstructured Address", "UnstructuredAddress", Plain),
    ("Request Device Serial Number", "DeviceSerialNumber", Plain),
    ("Request Binary Name", "RawName", Plain),
    ("Binary Request", "RawRequest", Plain),
    ("Archived Key", "RawArchivedKey", Plain),
    ("Key Recovery Agent Hashes", "KeyRecoveryHashes", Plain),
    ("Old Certificate", "RawOldCertificate", Plain),
    ("Signer Policies", "SignerPolicies", Plain),
    ("Signer Application Policies", "SignerApplicationPolicies", Plain),
    ("Attestation Challenge", "AttestationChallenge", Plain),
    ("Endorsement Key Hash", "EndorsementKeyHash", Plain),
    ("Endorsement Certificate Hash", "EndorsementCertificateHash", Plain),
    ("Binary Precertificate", "RawPrecertificate", Plain),
];

/// Of the table Certificates.
pub(super) const CERTIFICATES: &[FieldEntry] = &[
    ("Issued Request ID", "RequestID", Plain),
    ("Serial Number", "SerialNumber", Plain),
    ("Certificate Effective Date", "NotBefore", Plain),
    ("Certificate Expiration Date", "NotAfter", Plain),
    ("Certificate Template", "CertificateTemplate", Plain),
    ("Issued Distinguished Name", "DistinguishedName", Plain),
    ("Issued Common Name", "CommonName", Plain),
    ("User Principal Name", "UPN", Plain),
    ("Certificate Hash", "CertificateHash2", Plain),
    ("Issued Subject Key Identifier", "SubjectKeyIdentifier", Plain),
    ("Public Key Algorithm", "PublicKeyAlgorithm", Plain),
    ("Public Key Length", "PublicKeyLength", Plain),
    ("Template Enrollment Flags", "EnrollmentFlags", Flags),
    ("Template General Flags", "GeneralFlags", Flags),
    ("Template Private Key Flags", "PrivateKeyFlags", Flags),
    ("Issuer Name ID", "IssuerNameID", Flags),
    ("Publish Expired Certificate in CRL", "PublishExpiredCertInCRL", Truth),
    ("Issued Country/Region", "Country", Plain),
    ("Issued Organization", "Organization", Plain),
    ("Issued Organization Unit", "OrganizationalUnit", Plain),
    ("Issued City", "Locality", Plain),
    ("Issued State", "StateOrProvince", Plain),
    ("Issued Title", "Title", Plain),
    ("Issued First Name", "GivenName", Plain),
    ("Issued Initials", "Initials", Plain),
    ("Issued Last Name", "SurName", Plain),
    ("Issued Domain Component", "DomainComponent", Plain),
    ("Issued Email Address", "EMail", Plain),
    ("Issued Street Address", "StreetAddress", Plain),
    ("Issued Unstructured Name", "UnstructuredName", Plain),
    ("Issued Unstructured Address", "UnstructuredAddress", Plain),
    ("Issued Device Serial Number", "DeviceSerialNumber", Plain),
    ("Issued Binary Name", "RawName", Plain),
    ("Binary Public Key", "PublicKey", Plain),
    ("Public Key Algorithm Parameters", "PublicKeyParams", Plain),
    ("Binary Certificate", "RawCertificate", Plain),
];

/// Of the table CertificateExtensions.
pub(super) const EXTENSIONS: &[FieldEntry] = &[
    ("Extension Request ID", "RequestID", Plain),
    ("Extension Name", "ExtensionName", Plain),
    ("Extension Flags", "ExtensionFlags", ExtensionFlags),
    ("Extension Raw Value", "ExtensionRawValue", Plain),
];

/// Of the table RequestAttributes.
pub(super) const ATTRIBUTES: &[FieldEntry] = &[
    ("Attribute Request ID", "RequestID", Plain),
    ("Attribute Name", "AttributeName", Plain),
    ("Attribute Value", "AttributeValue", Plain),
];

/// Of the table CRLs.
pub(super) const CRLS: &[FieldEntry] = &[
    ("CRL Row ID", "RowId", Plain),
    ("CRL Number", "Number", Plain),
    ("CRL Minimum Base Number", "MinBase", Plain),
    ("CRL Name ID", "NameId", Plain),
    ("CRL Count", "Count", Plain),
    ("CRL This Update", "ThisUpdate", Plain),
    ("CRL Next Update", "NextUpdate", Plain),
    ("CRL This Publish", "ThisPublish", Plain),
    ("CRL Next Publish", "NextPublish", Plain),
    ("CRL Effective", "Effective", Plain),
    ("CRL Propagation Complete", "PropgationComplete", Plain),
    ("CRL Propagation Complete", "PropagationComplete", Plain),
    ("CRL Last Published", "CRLLastPublished", Plain),
    ("CRL Publish Attempts", "CRLPublishAttempts", Plain),
    ("CRL Publish Flags", "CRLPublishFlags", CrlFlags),
    ("CRL Publish Status Code", "CRLPublishStatusCode", ResultCode),
    ("CRL Publish Error Information", "CRLPublishError", Plain),
    ("CRL Raw CRL", "RawCRL", Plain),
];
