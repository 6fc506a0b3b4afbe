//! The agent's page, and what keeps it from being shown. Nothing of that keeps the agent from its work: it tells, and tries again.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use certadm_jobs::config::Exposure;
use certadm_jobs::serve::{Showing, Shown, begin};

use super::trouble::{RETRY, warn};
use crate::failure::Failure;
use crate::output::Output;

/// A way to the page that could not be opened by then hangs, such as on the file of a token.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ways to the page: the address and the socket, each by itself.
pub(super) struct Page {
    /// The address of the command line, which goes before that of the file.
    address: Option<SocketAddr>,
    shown: Shown,
    ways: [Option<Way>; 2],
    output: Output,
}

struct Way {
    exposure: Exposure,
    state: State,
    trouble: String,
}

enum State {
    /// It is opened at that moment.
    Waits(Instant),
    /// A thread opens it since then: what it reads may hang.
    Opens(Receiver<io::Result<Showing>>, Instant),
    /// Callers are answered.
    Serves(#[expect(dead_code, reason = "its end closes the way")] Showing),
}

impl Page {
    /// The page that is wished; nothing is opened yet.
    ///
    /// # Errors
    /// Usage, when others could look who are not meant to.
    pub(super) fn new(
        address: Option<SocketAddr>,
        exposure: &Exposure,
        shown: Shown,
        output: Output,
    ) -> Result<Self, Failure> {
        let ways = ways(address, exposure).map_err(|text| {
            let remedy = "name an address of this machine, such as 127.0.0.1:9464, or the files in [agent] of certadm.toml";
            Failure::usage(text, remedy)
        })?;
        Ok(Self { address, shown, ways, output })
    }

    /// What a changed configuration says of ways that are not open. Those that are open stay as they are until the agent ends.
    pub(super) fn reload(&mut self, exposure: &Exposure) {
        let Ok(new) = ways(self.address, exposure) else { return };
        for (way, new) in self.ways.iter_mut().zip(new) {
            if way.as_ref().is_some_and(|way| !matches!(way.state, State::Serves(_))) {
                *way = new;
            }
        }
    }

    /// Opens the ways that are not open, and waits for none. Returns why the page is not shown at each of its ways, an empty text where
    /// it is, and nothing while that is not known yet.
    pub(super) fn step(&mut self) -> Option<String> {
        let mut all = Vec::new();
        for way in self.ways.iter_mut().flatten() {
            way.step(&self.shown, self.output);
            match (&way.state, way.trouble.as_str()) {
                (State::Serves(_), _) => {}
                (_, "") => return None,
                (_, trouble) => all.push(trouble),
            }
        }
        Some(all.join("; "))
    }
}

/// The address and the socket of an exposure, each for itself.
fn ways(address: Option<SocketAddr>, exposure: &Exposure) -> Result<[Option<Way>; 2], String> {
    let exposure = match address {
        Some(address) => exposure.clone().at(address)?,
        None => exposure.clone(),
    };
    let socket =
        exposure.socket.clone().map(|socket| Exposure { socket: Some(socket), ..Exposure::default() });
    let address = exposure.listen.is_some().then_some(Exposure { socket: None, ..exposure });
    let way = |exposure| Way { exposure, state: State::Waits(Instant::now()), trouble: String::new() };
    Ok([address.map(way), socket.map(way)])
}

impl Way {
    fn step(&mut self, shown: &Shown, output: Output) {
        let next = match &self.state {
            State::Waits(when) if *when <= Instant::now() => self.open(shown),
            State::Opens(opened, since) => match opened.try_recv() {
                Ok(Ok(showing)) => {
                    self.trouble.clear();
                    say(&showing, output);
                    Some(State::Serves(showing))
                }
                Ok(Err(error)) => Some(self.fails(&error.to_string(), output)),
                Err(TryRecvError::Disconnected) => Some(self.fails("its thread broke down", output)),
                // Another thread would hang there, too.
                Err(TryRecvError::Empty) if PATIENCE < since.elapsed() => {
                    self.fails("a file or socket of it does not answer", output);
                    None
                }
                Err(TryRecvError::Empty) => None,
            },
            State::Waits(_) | State::Serves(_) => None,
        };
        if let Some(next) = next {
            self.state = next;
        }
    }

    fn open(&self, shown: &Shown) -> Option<State> {
        let (sender, opened) = mpsc::channel();
        let (exposure, shown) = (self.exposure.clone(), shown.clone());
        let opens = move || sender.send(begin(&exposure, &shown)).ok();
        let thread = thread::Builder::new().name("page".to_owned()).spawn(opens);
        thread.ok().map(|_| State::Opens(opened, Instant::now()))
    }

    /// Says what is wrong, once for each reason.
    fn fails(&mut self, why: &str, output: Output) -> State {
        let listen = self.exposure.listen.map(|address| address.to_string());
        let socket = self.exposure.socket.as_ref().map(|socket| socket.path.display().to_string());
        let trouble = format!("{}: {why}", listen.or(socket).unwrap_or_default());
        if self.trouble != trouble {
            warn(output, &format!("the agent works, but cannot show its page at {trouble}"));
            self.trouble = trouble;
        }
        State::Waits(Instant::now() + RETRY)
    }
}

fn say(showing: &Showing, output: Output) {
    if let Some(address) = showing.address {
        let scheme = if showing.is_guarded { "https" } else { "http" };
        output.line(format!("The agent shows itself at {scheme}://{address}/."));
    }
    if let Some(socket) = &showing.socket {
        output.line(format!("The agent shows itself behind the socket {}.", socket.display()));
    }
}
