//! Foreign services that judge ours, each a process of its own on loopback.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A foreign service that ends with the test.
pub(crate) struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Foreign {
    /// Starts it, and waits until it listens at the address.
    pub(crate) fn start(command: &mut Command, address: &str) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut service = Self(command.spawn().expect("the service starts"));
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert_eq!(service.0.try_wait().unwrap(), None, "the service has ended");
            assert!(since.elapsed() < Duration::from_secs(120), "the service does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }
}

/// An address of loopback at which nobody listens, with its port.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
