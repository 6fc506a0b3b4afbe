//! What the agent shows: a page, figures, whether it lives. Read only, and without a look at a CA: the page and the figures are
//! files that `status` has written. This machine alone may look, or who has the token.

mod guarded;
#[cfg(unix)]
mod socket;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use certadm_files::read;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::config::{Exposure, Guard};
use guarded::Guarded;
#[cfg(unix)]
use socket::SocketName;

/// No page or file of figures is longer than this, in bytes: a thousand CAs have a tenth of it.
const MAX_FILE: u64 = 32 << 20;
/// So many callers are answered at the same time, at each place.
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
    /// The last judgement of all CAs has failed, so that an alarm may be missing.
    pub is_unjudged: Arc<AtomicBool>,
    /// The clock.
    pub clock: fn() -> i64,
}

/// Where callers are answered, for as long as this is there.
#[derive(Debug)]
pub struct Showing {
    /// The address, with its port.
    pub address: Option<SocketAddr>,
    /// Whether it is called by TLS.
    pub is_guarded: bool,
    /// The socket.
    pub socket: Option<PathBuf>,
    #[cfg(unix)]
    _name: Option<SocketName>,
}

/// Whether the files of a guard can be used.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] with a sentence.
pub fn check(guard: &Guard) -> io::Result<()> {
    Guarded::new(guard.clone()).map(drop)
}

/// Begins to answer callers.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidInput`] for an address that others could call who show nothing, and
/// [`io::ErrorKind::InvalidData`] for files that cannot be used.
pub fn begin(exposure: &Exposure, shown: &Shown) -> io::Result<Showing> {
    exposure.check().map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
    let door = match &exposure.guard {
        Some(guard) => Door::Guarded(Arc::new(Guarded::new(guard.clone())?)),
        None => Door::Here,
    };
    let is_guarded = exposure.guard.is_some();
    let mut listening = Vec::new();
    let mut showing = Showing {
        address: None,
        is_guarded,
        socket: None,
        #[cfg(unix)]
        _name: None,
    };
    if let Some(address) = exposure.listen {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        showing.address = Some(listener.local_addr()?);
        listening.push((Unready::Tcp(listener), door));
    }
    // The configuration refuses one elsewhere.
    #[cfg(unix)]
    if let Some(socket) = &exposure.socket {
        let (listener, name) = socket::open(socket)?;
        (showing.socket, showing._name) = (Some(socket.path.clone()), Some(name));
        listening.push((Unready::Unix(listener), Door::Socket));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shown = shown.clone();
    thread::Builder::new().name("page".to_owned()).spawn(move || {
        // Without callers there is nothing to end: it goes with the process.
        runtime.block_on(async move {
            let tasks = listening.into_iter().map(|(listener, door)| {
                let shown = shown.clone();
                tokio::spawn(async move { answer_all(listener.ready()?, &shown, &door).await })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.ok();
            }
        });
    })?;
    Ok(showing)
}

/// A listener that no runtime waits for yet.
enum Unready {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

impl Unready {
    /// Has the runtime wait for it.
    fn ready(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
            #[cfg(unix)]
            Self::Unix(listener) => UnixListener::from_std(listener).map(Listener::Unix),
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self) -> io::Result<Caller> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Caller::Tcp(stream)),
            #[cfg(unix)]
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Caller::Unix(stream)),
        }
    }
}

enum Caller {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What a caller has to show.
#[derive(Clone)]
enum Door {
    /// Nothing: he is on this machine. But a browser may have been sent here.
    Here,
    /// Nothing: the socket's mode has let him in.
    #[cfg(unix)]
    Socket,
    /// The token.
    Guarded(Arc<Guarded>),
}

async fn answer_all(listener: Listener, shown: &Shown, door: &Door) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let Ok(caller) = listener.accept().await else {
            // Such as too many open files: it passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (shown, door) = (shown.clone(), door.clone());
        tokio::spawn(async move {
            // A caller who goes away has no answer to miss.
            tokio::time::timeout(PATIENCE, receive(caller, &shown, &door)).await.ok();
            drop(place);
        });
    }
}

async fn receive(caller: Caller, shown: &Shown, door: &Door) {
    match (caller, door) {
        #[cfg(unix)]
        (Caller::Unix(stream), _) => converse(stream, shown, door).await,
        (Caller::Tcp(stream), Door::Guarded(guarded)) => {
            // Who speaks no TLS gets no word.
            if let Ok(stream) = guarded.acceptor().accept(stream).await {
                converse(stream, shown, door).await;
            }
        }
        (Caller::Tcp(stream), _) => converse(stream, shown, door).await,
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, shown: &Shown, door: &Door) {
    let service = service_fn(|request| {
        let answer = answer(&request, shown, door);
        async { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false).max_buf_size(16 << 10);
    http.serve_connection(TokioIo::new(stream), service).await.ok();
}

fn answer(request: &Request<Incoming>, shown: &Shown, door: &Door) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| response(status, "text/plain; charset=utf-8", Bytes::from(text));
    match door {
        Door::Here if !names_this_machine(request.headers().get(HOST)) => {
            return plain(StatusCode::FORBIDDEN, "this machine is called localhost\n");
        }
        Door::Guarded(guarded) => match guarded.knows(request.headers().get(AUTHORIZATION)) {
            Ok(true) => {}
            Ok(false) => {
                let mut refused = plain(
                    StatusCode::UNAUTHORIZED,
                    "show the token, as `Authorization: Bearer TOKEN` or as a password\n",
                );
                let ways = HeaderValue::from_static("Basic realm=\"certadm\", Bearer realm=\"certadm\"");
                refused.headers_mut().insert(WWW_AUTHENTICATE, ways);
                return refused;
            }
            Err(_) => {
                return plain(StatusCode::SERVICE_UNAVAILABLE, "the token of this machine cannot be read\n");
            }
        },
        #[cfg(unix)]
        Door::Socket => {}
        Door::Here => {}
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
                ..=ALIVE if shown.is_unjudged.load(Ordering::Relaxed) => {
                    plain(StatusCode::SERVICE_UNAVAILABLE, "the last judgement of all CAs has failed\n")
                }
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

fn file(path: &Path, kind: &'static str) -> Response<Full<Bytes>> {
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
        let shown = Shown {
            page: PathBuf::new(),
            figures: PathBuf::new(),
            alive: Arc::default(),
            is_unjudged: Arc::default(),
            clock: || 0,
        };
        let listen = Some("0.0.0.0:0".parse().unwrap());
        let error = begin(&Exposure { listen, ..Exposure::default() }, &shown).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
