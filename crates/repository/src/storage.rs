//! The storage of a vault, by its place.

#[cfg(feature = "object-store")]
use std::net::ToSocketAddrs;
use std::sync::Arc;

use crate::error::{Error, Result};
#[cfg(feature = "object-store")]
use crate::objects::{CloudObjects, RestObjects, reach};
use crate::objects::{FileObjects, ObjectError, Objects, SftpObjects, repositories as repositories_in};
use crate::place::Place;

/// The storage of one CA's repository. Nothing is asked yet.
///
/// # Errors
/// [`Error::Storage`] when credentials cannot be read, [`Error::NoSupport`].
pub(crate) fn of_ca(place: &Place, ca: &str) -> Result<Arc<dyn Objects>> {
    match place {
        Place::Folder(root) => Ok(Arc::new(FileObjects::new(root.join(ca)))),
        Place::Host(host) => Ok(Arc::new(SftpObjects::new(host, Some(ca)))),
        #[cfg(feature = "object-store")]
        Place::Bucket(bucket) => Ok(Arc::new(CloudObjects::new(bucket, Some(ca)).map_err(failed(place))?)),
        #[cfg(feature = "object-store")]
        Place::Server(server) => Ok(Arc::new(RestObjects::new(server, Some(ca)).map_err(failed(place))?)),
        #[cfg(not(feature = "object-store"))]
        _ => Err(Error::NoSupport { place: place.to_string() }),
    }
}

/// The folders of a vault that hold a repository, of those that `fits` is true for.
///
/// # Errors
/// [`Error::Storage`], [`Error::NoSupport`]; [`Error::NoList`] where nobody can tell.
pub(crate) fn repositories(place: &Place, fits: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
    match place {
        Place::Folder(root) => repositories_in(root, fits).map_err(failed(place)),
        Place::Host(host) => SftpObjects::new(host, None).repositories(fits).map_err(failed(place)),
        #[cfg(feature = "object-store")]
        Place::Bucket(bucket) => {
            CloudObjects::new(bucket, None).and_then(|vault| vault.repositories(fits)).map_err(failed(place))
        }
        #[cfg(feature = "object-store")]
        Place::Server(server) if server.cas.is_empty() => Err(Error::NoList { place: place.to_string() }),
        #[cfg(feature = "object-store")]
        Place::Server(server) => Ok(server.cas.iter().filter(|ca| fits(ca)).cloned().collect()),
        #[cfg(not(feature = "object-store"))]
        _ => Err(Error::NoSupport { place: place.to_string() }),
    }
}

fn failed(place: &Place) -> impl Fn(ObjectError) -> Error + '_ {
    |source| Error::Storage { place: place.to_string(), source }
}

/// A step of the way to a vault.
pub(crate) type WayStep<'a> = (&'static str, Box<dyn Fn() -> Result<String> + 'a>);

/// The steps between here and a place that can be listed, by their names.
pub(crate) fn way(place: &Place) -> Vec<WayStep<'_>> {
    match place {
        Place::Folder(_) => Vec::new(),
        Place::Host(host) => vec![(
            "session",
            Box::new(move || SftpObjects::new(host, None).abilities().map_err(failed(place))),
        )],
        #[cfg(feature = "object-store")]
        Place::Bucket(bucket) => {
            let mut way = way_to(place, bucket.address());
            way.push((
                "credentials",
                Box::new(move || {
                    CloudObjects::new(bucket, None)
                        .and_then(|vault| vault.credentials())
                        .map_err(failed(place))
                }),
            ));
            way.push((
                "bucket",
                Box::new(move || {
                    CloudObjects::new(bucket, None).and_then(|vault| vault.bucket()).map_err(failed(place))
                }),
            ));
            way
        }
        #[cfg(feature = "object-store")]
        Place::Server(server) => way_to(place, server.url.clone()),
        #[cfg(not(feature = "object-store"))]
        _ => Vec::new(),
    }
}

/// The steps to a service at a URL.
#[cfg(feature = "object-store")]
fn way_to(place: &Place, url: String) -> Vec<WayStep<'_>> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", &url));
    let authority = rest.split('/').next().unwrap_or(rest).to_owned();
    let port = if scheme == "http" { 80 } else { 443 };
    let mut way: Vec<WayStep<'_>> = vec![(
        "dns",
        Box::new(move || {
            let failed = |error: std::io::Error| failed(place)(ObjectError::new("find", &authority, error));
            let found = authority.to_socket_addrs().or_else(|_| {
                let host = authority.trim_start_matches('[').trim_end_matches(']');
                (host, port).to_socket_addrs()
            });
            let addresses: Vec<String> = found.map_err(failed)?.map(|found| found.ip().to_string()).collect();
            Ok(format!("{authority} is {}", addresses.join(", ")))
        }),
    )];
    way.push((
        "tls",
        Box::new(move || {
            reach(&url).map_err(|error| failed(place)(ObjectError::new("reach", &url, error)))?;
            let sealed = url.starts_with("https://");
            Ok(if sealed {
                "somebody answers, and its certificate is trusted"
            } else {
                "somebody answers, without TLS"
            }
            .to_owned())
        }),
    ));
    way
}
