//! The agent as a service of Windows. The service control manager starts the program, hears from it how far it is, and tells it to
//! stop, which then counts as SIGTERM. It reads no lines: the agent says in the event log what somebody has to know.

use std::ffi::OsString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use certadm_files::cancel;
use certadm_jobs::event_log::{self, Matter};
use certadm_rules::Hresult;
use signal_hook::consts::SIGTERM;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult as Answer, ServiceStatusHandle,
};
use windows_service::{define_windows_service, service_dispatcher};

use crate::failure::{Exit, Failure};
use crate::output::Done;

/// What the manager calls it.
pub(super) const NAME: &str = "certadm-agent";
/// The manager takes a service that says nothing for so long for one that hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// ERROR_FAILED_SERVICE_CONTROLLER_CONNECT: it is not the manager that has started this process.
const NOT_BY_THE_MANAGER: i32 = 1063;

/// What the service does, and how that ended.
type Work = Box<dyn FnOnce() -> Result<Done, Failure> + Send>;

/// The manager calls a function that gets nothing of ours.
static WORK: Mutex<Option<Work>> = Mutex::new(None);
static ENDED: Mutex<Option<Result<Done, Failure>>> = Mutex::new(None);
static MANAGER: OnceLock<ServiceStatusHandle> = OnceLock::new();
/// How often the manager has heard that the service still ends what is at work.
static CHECKPOINT: AtomicU32 = AtomicU32::new(0);

/// Does the work as a service. Returns when the manager has heard that it has stopped.
pub(super) fn run(work: Work) -> Result<Done, Failure> {
    *locked(&WORK) = Some(work);
    service_dispatcher::start(NAME, main_of_service).map_err(|error| not_a_service(&error))?;
    let ended = locked(&ENDED).take();
    ended.unwrap_or_else(|| Err(Failure::internal("the service manager has started nothing")))
}

fn not_a_service(error: &windows_service::Error) -> Failure {
    match error {
        windows_service::Error::Winapi(source) if source.raw_os_error() == Some(NOT_BY_THE_MANAGER) => {
            let text = "the service manager has not started this process";
            Failure::usage(text, "leave --service out here; as a service: certadm agent install")
        }
        other => Failure::internal(format!("the service manager cannot be reached: {other}")),
    }
}

define_windows_service!(main_of_service, serve);

fn serve(_: Vec<OsString>) {
    let ended = match service_control_handler::register(NAME, hear) {
        Ok(manager) => {
            MANAGER.set(manager).ok();
            tell(ServiceState::StartPending, ServiceExitCode::NO_ERROR);
            let work = locked(&WORK).take();
            work.map_or_else(|| Err(Failure::internal("the service was started twice")), |work| work())
        }
        Err(error) => Err(not_a_service(&error)),
    };
    let exit = match &ended {
        Ok(done) => {
            report(Matter::Stopped, "The agent has stopped.");
            done.exit
        }
        Err(failure) => {
            report(
                Matter::Failed,
                &format!("The agent cannot work: {failure}\nWhat to do: {}", failure.remedy),
            );
            failure.exit
        }
    };
    *locked(&ENDED) = Some(ended);
    let code = match exit {
        Exit::Good => ServiceExitCode::NO_ERROR,
        other => ServiceExitCode::ServiceSpecific(other as u32),
    };
    // From here on this process may end at any moment.
    tell(ServiceState::Stopped, code);
}

/// Hears the manager. It has to be a plain function: `windows-service` drops what a closure has caught when it is told to stop, and
/// the manager may call it once more after that.
fn hear(control: ServiceControl) -> Answer {
    match control {
        ServiceControl::Stop | ServiceControl::Preshutdown | ServiceControl::Shutdown => {
            tell_stopping();
            cancel::request(usize::try_from(SIGTERM).unwrap_or(usize::MAX));
            Answer::NoError
        }
        ServiceControl::Interrogate => Answer::NoError,
        _ => Answer::NotImplemented,
    }
}

/// Whether this process is one.
pub(super) fn is_one() -> bool {
    MANAGER.get().is_some()
}

/// Tells the manager that the agent works.
pub(super) fn tell_running() {
    tell(ServiceState::Running, ServiceExitCode::NO_ERROR);
    report(Matter::Works, "The agent works.");
}

/// Tells the manager that the agent still ends what is at work.
pub(super) fn tell_stopping() {
    CHECKPOINT.fetch_add(1, Ordering::Relaxed);
    tell(ServiceState::StopPending, ServiceExitCode::NO_ERROR);
}

fn tell(state: ServiceState, exit_code: ServiceExitCode) {
    let (controls_accepted, wait_hint) = match state {
        ServiceState::Running => {
            (ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN, Duration::ZERO)
        }
        ServiceState::StartPending | ServiceState::StopPending => (ServiceControlAccept::empty(), PATIENCE),
        _ => (ServiceControlAccept::empty(), Duration::ZERO),
    };
    let checkpoint = if wait_hint.is_zero() { 0 } else { CHECKPOINT.load(Ordering::Relaxed) };
    let status = ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code,
        checkpoint,
        wait_hint,
        process_id: None,
    };
    if let Some(Err(error)) = MANAGER.get().map(|manager| manager.set_service_status(status)) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Writes into the event log, if this process is a service.
pub(super) fn report(matter: Matter, text: &str) {
    if is_one()
        && let Err(error) = event_log::report(matter, text)
    {
        tracing::debug!(error, "the event log was not told");
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A failure of the manager, as the system tells it.
pub(super) fn failure_of(action: &str, error: &windows_service::Error) -> Failure {
    let message = format!("the service manager cannot {action}: {error}");
    match error {
        windows_service::Error::Winapi(source) => {
            let code = certadm_files::io_hresult(source);
            let remedy = match code {
                Hresult::E_ACCESSDENIED => "run it as an administrator",
                _ => "look at what the system says: sc.exe query certadm-agent",
            };
            Failure { message, code, remedy: remedy.to_owned(), exit: Exit::Refused, done: None, set: None }
        }
        _ => Failure::internal(message),
    }
}
