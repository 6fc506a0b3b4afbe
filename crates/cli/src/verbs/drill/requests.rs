//! The PKCS #10 requests of a drill, each with a key of its own.

use std::str::FromStr;

use certadm_ca::Request;
use der::Encode;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate;
use x509_cert::builder::{Builder, RequestBuilder};
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
    let subject =
        Name::from_str(&format!("CN=host{number:05}.drill.example")).map_err(|error| broken(&error))?;
    let key = SigningKey::try_generate().map_err(|error| broken(&error))?;
    let builder = RequestBuilder::new(subject).map_err(|error| broken(&error))?;
    let request = builder.build::<_, DerSignature>(&key).map_err(|error| broken(&error))?;
    let der = request.to_der().map_err(|error| broken(&error))?;
    Ok(Request::parse(&der)?)
}
