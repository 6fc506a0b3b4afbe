//! What the agent tells whoever has started it as a service: systemd, or the service control manager of Windows.

/// What the service manager is told.
pub(super) enum State<'a> {
    /// The agent works.
    Ready,
    /// It lives.
    Watchdog,
    /// It ends what is at work, and goes on with that.
    Stopping,
    /// What is going on.
    Status(&'a str),
}

/// Whoever started this process need not want to be told.
#[cfg(unix)]
pub(super) fn notify(state: State<'_>) {
    use sd_notify::NotifyState;
    let state = match state {
        State::Ready => NotifyState::Ready,
        State::Watchdog => NotifyState::Watchdog,
        State::Stopping => NotifyState::Stopping,
        State::Status(text) => NotifyState::Status(text),
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Windows wants to know neither that the agent lives nor what is going on.
#[cfg(windows)]
pub(super) fn notify(state: State<'_>) {
    use super::service;
    match state {
        State::Ready => service::tell_running(),
        State::Stopping => service::tell_stopping(),
        State::Watchdog => {}
        State::Status(text) => tracing::trace!(text, "nobody is told"),
    }
}

/// Whether what the agent prints goes nowhere.
pub(super) fn is_unheard() -> bool {
    #[cfg(windows)]
    let is_service = super::service::is_one();
    #[cfg(unix)]
    let is_service = false;
    is_service
}

/// Says where a service's lines go nowhere what is not as it should be.
pub(super) fn warn(text: &str) {
    #[cfg(windows)]
    super::service::report(certadm_jobs::event_log::Matter::Warning, text);
    #[cfg(unix)]
    let _ = text; // it stands in the journal already
}
