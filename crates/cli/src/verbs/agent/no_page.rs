//! This build has no HTTP, and so no page.

use std::net::SocketAddr;

use certadm_jobs::config::Exposure;

use crate::failure::Failure;
use crate::output::Output;

/// No page.
pub(super) struct Page;

#[allow(clippy::unused_self, reason = "as the page of other builds")]
impl Page {
    /// Refuses a page that is wished.
    ///
    /// # Errors
    /// Usage, when one is.
    pub(super) fn new(
        address: Option<SocketAddr>,
        exposure: &Exposure,
        _shown: (),
        _output: Output,
    ) -> Result<Self, Failure> {
        if address.is_none() && exposure.listen.is_none() && exposure.socket.is_none() {
            return Ok(Self);
        }
        let text = "this build has no HTTP";
        Err(Failure::usage(
            text,
            "leave --listen and [agent] out, and have `certadm status` write page and figures",
        ))
    }

    /// There is nothing to open.
    pub(super) const fn reload(&mut self, _exposure: &Exposure) {}

    /// There is nothing to open.
    pub(super) const fn step(&mut self) -> Option<String> {
        Some(String::new())
    }
}
