//! HTTP for object stores: hyper, and TLS by rustls with the system's list of authorities.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Sockets;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};

use super::MAX_OBJECT;

/// A connection that does not stand by then fails.
const CONNECT: Duration = Duration::from_secs(10);
/// A request whose answer is not there by then fails, and is made again.
const ANSWER: Duration = Duration::from_secs(60);

/// Makes the client of a vault.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |source| object_store::Error::Generic { store: "S3", source: Box::new(source) };
        let mut sockets = Sockets::new();
        sockets.enforce_http(false);
        sockets.set_connect_timeout(Some(CONNECT));
        let tls = HttpsConnectorBuilder::new().with_native_roots().map_err(failed)?;
        let client = Client::builder(TokioExecutor::new())
            .build(tls.https_or_http().enable_http1().wrap_connector(sockets));
        Ok(HttpClient::new(Hyper { client }))
    }
}

#[derive(Debug)]
struct Hyper {
    client: Client<HttpsConnector<Sockets>, HttpRequestBody>,
}

#[async_trait]
impl HttpService for Hyper {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| {
                let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
                HttpError::new(kind, error)
            })?;
            let (head, body) = response.into_parts();
            let limit = usize::try_from(MAX_OBJECT).unwrap_or(usize::MAX);
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Request, error))?.to_bytes();
            Ok(HttpResponse::from_parts(head, body.into()))
        };
        let answered = tokio::time::timeout(ANSWER, answer).await;
        answered.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?
    }
}
