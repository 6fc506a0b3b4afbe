//! What the library did and why a call failed, for the people behind the program: an HRESULT has no room for it.
//!
//! Events go to standard error when `CERTADM_LOG` asks for them, or to the file that `CERTADM_LOG_FILE` names. The subscriber
//! is the library's own: a program that uses `tracing` itself keeps its own.

use std::path::Path;
use std::sync::{Arc, Once};

use certadm_files::event_text::EventText;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::{Diagnosis, Hresult};
use tracing_subscriber::EnvFilter;

/// Which events: a level, or directives as of `tracing`.
const FILTER: &str = "CERTADM_LOG";
/// Where to; standard error without it.
const FILE: &str = "CERTADM_LOG_FILE";
/// The events when only the file is named, and when the filter cannot be read.
const STANDARD: &str = "info";

/// Reads the environment, at the first call of this process.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let file = std::env::var_os(FILE).filter(|path| !path.is_empty());
        let wanted = std::env::var(FILTER).ok().filter(|text| !text.is_empty());
        if file.is_some() || wanted.is_some() {
            let filter = wanted.and_then(|text| EnvFilter::try_new(text).ok());
            subscribe(filter.unwrap_or_else(|| EnvFilter::new(STANDARD)), file.as_deref().map(Path::new));
        }
    });
}

fn subscribe(filter: EnvFilter, file: Option<&Path>) {
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).log_internal_errors(false);
    match file.map(certadm_files::event_file::open) {
        Some(Ok(file)) => {
            let file = Arc::new(file);
            drop(builder.with_writer(move || EventText::new(Arc::clone(&file), false)).try_init());
        }
        unopened => {
            drop(builder.with_writer(|| EventText::new(std::io::stderr(), false)).try_init());
            if let Some(Err(error)) = unopened {
                tracing::error!("events go to standard error: {}", chain_of(&error));
            }
        }
    }
}

/// The code of an error, whose text and remedy the log gets.
pub(crate) fn why(error: &dyn Diagnosis) -> Hresult {
    let code = error.hresult();
    tracing::warn!(%code, remedy = %error.remedy(), "{}", chain_of(error));
    code
}

/// How a call ended. A code that needs no more words has had none before.
pub(crate) fn ended(call: &'static str, outcome: Result<(), Hresult>) {
    match outcome {
        Ok(()) => tracing::debug!(call, "succeeded"),
        Err(code) => tracing::warn!(call, %code, "failed: {}", code.text()),
    }
}

/// A defect of this library: what the panic said.
pub(crate) fn defect(call: &'static str, payload: &(dyn std::any::Any + Send)) {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(call, "a defect of the library: {}", text.unwrap_or("it says nothing"));
}
