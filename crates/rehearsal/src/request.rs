//! PKCS #10 requests for certificates that nobody uses.

use std::str::FromStr;

use certadm_ca::Request;
use der::Encode;
use der::asn1::Ia5String;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate;
use x509_cert::builder::{Builder, RequestBuilder};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::error::{Error, Result};

/// A request for a certificate of this host, with a key of its own that goes away at once.
///
/// # Errors
/// [`Error::Ca`] and [`Error::Internal`]: only a mistake in this program, or a system without random numbers.
pub fn for_host(host: &str) -> Result<Request> {
    let broken =
        |error: &dyn std::fmt::Display| Error::Internal(format!("a request could not be made: {error}"));
    let subject = Name::from_str(&format!("CN={host}")).map_err(|error| broken(&error))?;
    let key = SigningKey::try_generate().map_err(|error| broken(&error))?;
    let names = vec![GeneralName::DnsName(Ia5String::new(host).map_err(|error| broken(&error))?)];
    let mut builder = RequestBuilder::new(subject).map_err(|error| broken(&error))?;
    builder.add_extension(&SubjectAltName(names)).map_err(|error| broken(&error))?;
    let request = builder.build::<_, DerSignature>(&key).map_err(|error| broken(&error))?;
    let der = request.to_der().map_err(|error| broken(&error))?;
    Ok(Request::parse(&der)?)
}
