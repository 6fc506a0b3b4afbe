//! The PKCS #10 requests of a drill, each with a key of its own.

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

use crate::failure::Failure;

/// Makes `count` requests for certificates of drill hosts.
pub(crate) fn make(count: usize) -> Result<Vec<Request>, Failure> {
    (0..count).map(one).collect()
}

fn one(number: usize) -> Result<Request, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::internal(format!("a drill request could not be made: {error}"))
    };
    let host = format!("host{number:05}.drill.example");
    let subject = Name::from_str(&format!("CN={host}")).map_err(|error| broken(&error))?;
    let names =
        SubjectAltName(vec![GeneralName::DnsName(Ia5String::new(&host).map_err(|error| broken(&error))?)]);
    let key = SigningKey::try_generate().map_err(|error| broken(&error))?;
    let mut builder = RequestBuilder::new(subject).map_err(|error| broken(&error))?;
    builder.add_extension(&names).map_err(|error| broken(&error))?;
    let request = builder.build::<_, DerSignature>(&key).map_err(|error| broken(&error))?;
    let der = request.to_der().map_err(|error| broken(&error))?;
    Ok(Request::parse(&der)?)
}
