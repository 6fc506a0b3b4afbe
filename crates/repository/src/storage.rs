//! The storage of a vault, by its place.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::objects::{FileObjects, Objects, SftpObjects, repositories};
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
        Place::Bucket(bucket) => {
            let opened = crate::objects::S3Objects::new(bucket, Some(ca));
            Ok(Arc::new(opened.map_err(|source| Error::Storage { place: place.to_string(), source })?))
        }
        #[cfg(not(feature = "object-store"))]
        Place::Bucket(_) => Err(Error::NoSupport { place: place.to_string() }),
    }
}

/// The sanitized names of the CAs that have a repository in a vault.
///
/// # Errors
/// [`Error::Storage`], [`Error::NoSupport`].
pub(crate) fn cas(place: &Place) -> Result<Vec<String>> {
    match place {
        Place::Folder(root) => {
            repositories(root).map_err(|source| Error::Storage { place: place.to_string(), source })
        }
        Place::Host(host) => {
            let listed = SftpObjects::new(host, None).repositories();
            listed.map_err(|source| Error::Storage { place: place.to_string(), source })
        }
        #[cfg(feature = "object-store")]
        Place::Bucket(bucket) => {
            let listed = crate::objects::S3Objects::new(bucket, None).and_then(|vault| vault.repositories());
            listed.map_err(|source| Error::Storage { place: place.to_string(), source })
        }
        #[cfg(not(feature = "object-store"))]
        Place::Bucket(_) => Err(Error::NoSupport { place: place.to_string() }),
    }
}

/// A step of the way to a vault.
pub(crate) type WayStep<'a> = (&'static str, Box<dyn Fn() -> Result<String> + 'a>);

/// The steps between here and a place that can be listed, by their names.
pub(crate) fn way(place: &Place) -> Vec<WayStep<'_>> {
    let failed = |source| Error::Storage { place: place.to_string(), source };
    match place {
        Place::Host(host) => {
            vec![("session", Box::new(move || SftpObjects::new(host, None).abilities().map_err(failed)))]
        }
        _ => Vec::new(),
    }
}
