//! One request to an address of HTTP: hyper, and TLS by rustls with the system's list of authorities, as vaults in object
//! stores have it.

use crate::unheard::Unheard;

/// Asks for an address; with a text, that is sent as JSON. An answer of success is all that counts.
///
/// # Errors
/// A sentence without the address, which may hold a token.
#[cfg(feature = "http")]
pub(crate) fn request(address: &str, json: Option<String>) -> Result<(), Unheard> {
    use std::time::Duration;

    use certadm_rules::diagnosis::chain_of;
    use http_body_util::Full;
    use hyper_rustls::HttpsConnectorBuilder;
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;

    const CONNECT: Duration = Duration::from_secs(10);
    const ANSWER: Duration = Duration::from_secs(30);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no request can be made: {error}"))?;
    let uri: hyper::Uri = address.parse().map_err(|_| "the address cannot be understood".to_owned())?;
    let host = uri.host().unwrap_or_default().to_owned();
    let is_plain = uri.scheme() == Some(&hyper::http::uri::Scheme::HTTP);
    let builder = hyper::Request::builder()
        .uri(uri)
        .header("user-agent", concat!("certadm/", env!("CARGO_PKG_VERSION")));
    let request = match json {
        Some(text) => {
            builder.method("POST").header("content-type", "application/json").body(Full::from(text))
        }
        None => builder.method("GET").body(Full::<bytes::Bytes>::default()),
    };
    let request = request.map_err(|_| "the address cannot be understood".to_owned())?;
    let mut sockets = HttpConnector::new();
    sockets.enforce_http(false);
    sockets.set_connect_timeout(Some(CONNECT));
    let client = Client::builder(TokioExecutor::new());
    // A machine without a list of authorities can still be told by HTTP.
    let answer = if is_plain {
        client.build(sockets).request(request)
    } else {
        let tls = HttpsConnectorBuilder::new().with_native_roots();
        let tls = tls.map_err(|error| format!("the system's list of authorities: {error}"))?;
        client.build(tls.https_only().enable_http1().wrap_connector(sockets)).request(request)
    };
    let answered = runtime.block_on(async { tokio::time::timeout(ANSWER, answer).await });
    match answered {
        Err(_) => Err(format!("{host} has not answered within {} seconds", ANSWER.as_secs()).into()),
        Ok(Err(error)) => Err(format!("{host} cannot be asked: {}", chain_of(&error)).into()),
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) => Err(Unheard::Refused(format!("{host} answered {}", response.status()))),
    }
}

/// This build has no HTTP.
///
/// # Errors
/// Always.
#[cfg(not(feature = "http"))]
pub(crate) fn request(_address: &str, _json: Option<String>) -> Result<(), Unheard> {
    Err("this build of certadm has no HTTP: it was built without the feature object-store".to_owned().into())
}
