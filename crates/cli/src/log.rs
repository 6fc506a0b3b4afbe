//! Events go to standard error, in colour on a terminal alone.

use std::io::IsTerminal;

use certadm_files::event_text::EventText;
use tracing_subscriber::EnvFilter;

/// Which events are wanted, such as `CERTADM_LOG=info`.
const VARIABLE: &str = "CERTADM_LOG";

/// The events of a command: those that CERTADM_LOG asks for, and none without it.
pub(crate) fn of_command() {
    if let Ok(filter) = EnvFilter::try_from_env(VARIABLE) {
        init(filter, false);
    }
}

/// The events of the service: those that CERTADM_LOG asks for, else everything worth an administrator's look.
pub(crate) fn of_service(json: bool) {
    init(EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("info")), json);
}

fn init(filter: EnvFilter, json: bool) {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = std::io::stderr().is_terminal() && !is_plain && !json;
    // Of an event that cannot be written nobody can be told either: trying that would end the thread.
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).log_internal_errors(false);
    if json {
        subscriber.with_writer(std::io::stderr).json().flatten_event(true).init();
    } else {
        subscriber.with_writer(move || EventText::new(std::io::stderr(), colour)).init();
    }
}
