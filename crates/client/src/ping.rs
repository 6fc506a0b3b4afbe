//! Keeping the object alive: a thread that pings its resolver (wire.md 4.16; DCOM 3.2.6.1).

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use certadm_rules::diagnosis::chain_of;
use certadm_wire::dcom::{Oid, ResolverRequest, ResolverResponse, SetId};

use crate::connection::{Connection, Interface};
use crate::dial::{Login, resolver_call};
use crate::error::Error;

/// Time until the next attempt after a ping that failed.
const RETRY: Duration = Duration::from_secs(30);

/// A thread that pings until it is dropped.
#[derive(Debug)]
pub(crate) struct Pinger {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pinger {
    /// Pings for `object` every `period`, on a connection of its own.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub(crate) fn start(login: Login, object: Oid, period: Duration) -> Result<Self, Error> {
        let (stop, stopped) = channel::<()>();
        let run = move || {
            let mut pinging = Pinging { login, object, connection: None, set: SetId(0) };
            let mut wait = period;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
                wait = match pinging.ping() {
                    Ok(()) => period,
                    // The backup itself goes on; whether the object is gone, its next call will say.
                    Err(error) => {
                        tracing::warn!(error = %chain_of(&error), "a ping of the CA's object failed");
                        RETRY.min(period)
                    }
                };
            }
        };
        let thread =
            std::thread::Builder::new().name("certadm-ping".to_owned()).spawn(run).map_err(Error::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A ping under way ends within its time limit.
            thread.join().ok();
        }
    }
}

struct Pinging {
    login: Login,
    object: Oid,
    connection: Option<Connection>,
    /// 0 until the resolver has given one.
    set: SetId,
}

impl Pinging {
    fn ping(&mut self) -> Result<(), Error> {
        const CALL: &str = "ping";
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let mut connection = self.login.resolver(Interface::RESOLVER, CALL)?;
                connection.hurry();
                self.connection.insert(connection)
            }
        };
        let request = match self.set {
            SetId(0) => ResolverRequest::ComplexPing {
                set: self.set,
                sequence: 1,
                add: vec![self.object],
                delete: Vec::new(),
            },
            set => ResolverRequest::SimplePing { set },
        };
        match resolver_call(connection, &request, CALL) {
            Ok(ResolverResponse::Pinged { set, .. }) => {
                self.set = set;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                // A resolver that has forgotten the set, or that closed an idle connection, is asked afresh.
                self.set = SetId(0);
                self.connection = None;
                Err(error)
            }
        }
    }
}
