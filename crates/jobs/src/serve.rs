//! What the agent shows: a page, figures, whether it lives. Read only, for this machine alone, and without a look at a CA: the
//! page and the figures are files that `status` has written.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use certadm_files::read;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

/// No page or file of figures is longer than this, in bytes: a thousand CAs have a tenth of it.
const MAX_FILE: u64 = 32 << 20;
/// So many callers are answered at the same time.
const CALLERS: usize = 32;
/// A caller who has not got his answer by then is left.
const PATIENCE: Duration = Duration::from_secs(20);
/// An agent that has not looked at its agenda for so many seconds hangs.
const ALIVE: i64 = 30;

/// What is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The page.
    pub page: PathBuf,
    /// The figures.
    pub figures: PathBuf,
    /// When the agent has looked at its agenda last, in seconds since 1970.
    pub alive: Arc<AtomicI64>,
    /// The clock.
    pub clock: fn() -> i64,
}

/// Begins to answer callers of an address, which is one of this machine. Returns the address, with its port.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidInput`] for an address that others could call.
pub fn begin(address: SocketAddr, shown: Shown) -> io::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        let text = "the agent shows itself to this machine alone: listen on 127.0.0.1 or [::1]";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("page".to_owned()).spawn(move || {
        // Without callers there is nothing to end: it goes with the process.
        runtime.block_on(answer_all(listener, shown)).ok();
    })?;
    Ok(address)
}

async fn answer_all(listener: TcpListener, shown: Shown) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Such as too many open files: it passes.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let shown = shown.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &shown);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .max_buf_size(16 << 10);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // A caller who goes away has no answer to miss.
            tokio::time::timeout(PATIENCE, connection).await.ok();
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, shown: &Shown) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| response(status, "text/plain; charset=utf-8", Bytes::from(text));
    if !names_this_machine(request.headers().get(HOST)) {
        return plain(StatusCode::FORBIDDEN, "this machine is called localhost\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "look, and change nothing\n");
    }
    match request.uri().path() {
        "/" => file(&shown.page, "text/html; charset=utf-8"),
        "/metrics" => file(&shown.figures, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "/healthz" => {
            let age = (shown.clock)() - shown.alive.load(Ordering::Relaxed);
            match age {
                ..=ALIVE => plain(StatusCode::OK, "ok\n"),
                _ => plain(StatusCode::SERVICE_UNAVAILABLE, "the agent hangs\n"),
            }
        }
        _ => plain(StatusCode::NOT_FOUND, "there are /, /metrics and /healthz\n"),
    }
}

/// A page of elsewhere can make a browser call this machine under a name of its own, and would then read the answer.
fn names_this_machine(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    matches!(name, "localhost" | "::1")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn file(path: &std::path::Path, kind: &'static str) -> Response<Full<Bytes>> {
    match read::bounded(path, MAX_FILE) {
        Ok(bytes) => response(StatusCode::OK, kind, Bytes::from(bytes)),
        Err(_) => response(
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain; charset=utf-8",
            Bytes::from_static(b"nothing was judged yet: look again in a minute\n"),
        ),
    }
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    const POLICY: &str =
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let is = |host: &str| names_this_machine(Some(&HeaderValue::from_str(host).unwrap()));
        for name in ["localhost", "localhost:9464", "127.0.0.1:9464", "127.1.2.3", "[::1]:9464"] {
            assert!(is(name), "{name}");
        }
        for name in ["evil.example", "evil.example:9464", "localhost.evil.example", "10.0.0.1", "[::2]", ""] {
            assert!(!is(name), "{name}");
        }
        assert!(!names_this_machine(None));
    }

    #[test]
    fn an_address_that_others_can_call_is_refused() {
        let shown =
            Shown { page: PathBuf::new(), figures: PathBuf::new(), alive: Arc::default(), clock: || 0 };
        let error = begin("0.0.0.0:0".parse().unwrap(), shown).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
