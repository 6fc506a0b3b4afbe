//! HTTP for object stores and servers of restic's protocol: hyper, and TLS by rustls with the system's list of authorities.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Sockets;
use hyper_util::rt::TokioExecutor;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};
use object_store::{ClientOptions, Error as StoreError};
use tokio::runtime::{Builder, Runtime};

use super::{MAX_OBJECT, NoBucket};

/// A connection that does not stand by then fails.
const CONNECT: Duration = Duration::from_secs(10);
/// A request whose answer does not begin by then fails, and is made again. Whatever has a length gets more time.
const ANSWER: Duration = Duration::from_secs(60);
/// As much as this is taken for granted, in bytes a second.
const SLOW: u64 = 32 * 1024;
/// Threads that wait for answers.
const THREADS: usize = 2;

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
        let late = |late| HttpError::new(HttpErrorKind::Timeout, late);
        let patience = |len: u64| ANSWER + Duration::from_secs(len / SLOW);
        let up = patience(request.body().content_length() as u64);
        let response = tokio::time::timeout(up, self.client.request(request)).await.map_err(late)?;
        let response = response.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        let (head, body) = response.into_parts();
        let told = head.headers.get("content-length").and_then(|len| len.to_str().ok()?.parse().ok());
        let down = patience(told.unwrap_or(0_u64).min(MAX_OBJECT));
        let limit = usize::try_from(MAX_OBJECT).unwrap_or(usize::MAX);
        let body = tokio::time::timeout(down, Limited::new(body, limit).collect()).await.map_err(late)?;
        let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Request, error))?.to_bytes();
        Ok(HttpResponse::from_parts(head, body.into()))
    }
}

/// A request that fails is made again for so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// After so long at first, and twice as long each further time, up to the second of these.
const WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(15)];

/// Makes a request until there is an answer that is one. It must not matter whether it was carried out before.
///
/// # Errors
/// When there is none in two minutes.
pub(super) fn insist(
    client: &HttpClient,
    make: &dyn Fn() -> io::Result<HttpRequest>,
) -> io::Result<HttpResponse> {
    let (began, mut pause) = (Instant::now(), WAITS[0]);
    loop {
        let failed = match wait(client.execute(make()?)) {
            Ok(response) if response.status().is_server_error() || response.status() == 429 => {
                io::Error::other(format!("the server answers {}", response.status()))
            }
            Ok(response) => return Ok(response),
            Err(error) => io::Error::new(io::ErrorKind::ConnectionAborted, told(&error)),
        };
        if PATIENCE < began.elapsed() + pause {
            return Err(failed);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(WAITS[1]);
    }
}

/// The body of an answer.
///
/// # Errors
/// When it cannot be read.
pub(super) fn body_of(response: HttpResponse) -> io::Result<Bytes> {
    let body = wait(response.into_body().bytes());
    body.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, told(&error)))
}

/// Whether somebody answers at a URL, with TLS where it says so; whatever the answer is.
///
/// # Errors
/// When nobody does, or TLS does not stand.
pub(crate) fn reach(url: &str) -> io::Result<()> {
    let client = Connector.connect(&ClientOptions::new()).map_err(io::Error::other)?;
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.uri_mut() = url.parse().map_err(io::Error::other)?;
    let answered = wait(client.execute(request));
    answered.map(drop).map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, told(&error)))
}

/// Waits for an answer. The engine calls from many threads, none of which is the runtime's.
pub(super) fn wait<T>(answer: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        // What it needs is two threads and an epoll descriptor. A system without them runs nothing else either.
        let made = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
        made.expect("the system has threads and descriptors left")
    });
    runtime.block_on(answer)
}

/// The error and its causes, each once.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let own = next.to_string();
        if !text.contains(&own) {
            text = format!("{text}: {own}");
        }
        cause = next.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same of a list. Nothing is missing of what a list names but the bucket itself.
pub(super) fn io_of_list(error: StoreError) -> io::Error {
    let is_gone = match &error {
        StoreError::NotFound { .. } => true,
        // The library tells the status of a list in its text alone.
        StoreError::Generic { .. } => {
            let text = told(&error);
            ["status code: 404", "NoSuchBucket", "ContainerNotFound"].iter().any(|sign| text.contains(sign))
        }
        _ => false,
    };
    if is_gone { io::Error::other(NoBucket) } else { io_of(error) }
}

/// What an error of the library means.
pub(super) fn io_of(error: StoreError) -> io::Error {
    let kind = match &error {
        StoreError::NotFound { .. } => io::ErrorKind::NotFound,
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => io::ErrorKind::AlreadyExists,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    answered(kind, told(&error))
}

/// What an answer in XML says, in the place of the answer itself: its code, and its message where it has one.
fn without_tags(text: &str) -> String {
    let tagged = |tag: &str| {
        let (_, behind) = text.split_once(&format!("<{tag}>"))?;
        Some(behind.split_once('<')?.0.trim().chars().take(200).collect::<String>())
    };
    let Some((code, (first, last))) = tagged("Code").zip(text.find('<').zip(text.rfind('>'))) else {
        return text.to_owned();
    };
    let message = tagged("Message").filter(|message| !message.is_empty());
    let said = message.map_or_else(|| code.clone(), |message| format!("{code} ({message})"));
    format!("{}{said}{}", &text[..first], &text[last + 1..])
}

/// An error of what a service has answered. Where the clock is the reason, no right of the account is missing.
pub(super) fn answered(kind: io::ErrorKind, text: String) -> io::Error {
    let text = without_tags(&text);
    match text.contains("RequestTimeTooSkewed") {
        true => io::Error::other(format!("the clock of this machine differs from the service's: {text}")),
        false => io::Error::new(kind, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_xml_is_told_in_words() {
        for (text, told) in [
            ("no tags", "no tags"),
            ("it answers: <?xml?><Error><Code>NoSuchKey</Code></Error> twice", "it answers: NoSuchKey twice"),
            (
                "<Error><Code>AccessDenied</Code><Message> Not you. </Message><HostId>x</HostId></Error>",
                "AccessDenied (Not you.)",
            ),
            ("1 < 2 > 0", "1 < 2 > 0"),
            ("<Code>cut off", "<Code>cut off"),
        ] {
            assert_eq!(without_tags(text), told);
        }
    }
}
