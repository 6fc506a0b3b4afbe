//! `certadm agent install` and `uninstall`: the agent as a service of a Windows machine, and its source in the event log.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use certadm_jobs::{Config, event_log};
use certadm_rules::Hresult;
use clap::{Args, Subcommand};
use serde_json::json;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceFailureActions,
    ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::service::{NAME, failure_of};
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::terminal::Tone;

/// What people read in the list of services.
const DISPLAY_NAME: &str = "certadm agent";
const DESCRIPTION: &str = "Backs up certification authorities by the schedules of certadm.toml, proves the backups, and tells of alarms.";
/// After a failure the service is started again so much later, the first time, the second and from then on.
const RESTARTS: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(60), Duration::from_secs(600)];
/// After a day without a failure the next one counts as the first.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);
/// How long a machine that shuts down waits for the service: longer than the agent waits for what is at work.
const BEFORE_SHUTDOWN: Duration = Duration::from_secs(360);
/// How often it is looked whether the service has stopped.
const GLANCE: Duration = Duration::from_millis(100);
/// ERROR_SERVICE_DOES_NOT_EXIST.
const NOT_THERE: i32 = 1060;
/// ERROR_SERVICE_EXISTS.
const IS_THERE: i32 = 1073;
/// ERROR_SERVICE_CANNOT_ACCEPT_CTRL, ERROR_SERVICE_NOT_ACTIVE.
const ENDS: [i32; 2] = [1061, 1062];

/// `certadm agent install`, `uninstall`
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Make the agent a service that starts with this machine, or change the one that is there
    #[command(after_help = "Example: certadm agent install --account \"NT SERVICE\\certadm-agent\"\n\
        Then:    net start certadm-agent")]
    Install(InstallArgs),
    /// Stop that service and remove it; configuration, records and backups stay
    #[command(after_help = "Example: certadm agent uninstall")]
    Uninstall,
}

/// `certadm agent install`
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// The account that the service runs as, one without a password: "NT SERVICE\\certadm-agent", "NT AUTHORITY\\LocalService",
    /// or a managed one such as DOMAIN\\backup$ [default: LocalSystem]
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Show the agent's page at this address, as `certadm agent --listen` does
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl AgentCommand {
    /// Its name, as JSON has it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Install(_) => "agent install",
            Self::Uninstall => "agent uninstall",
        }
    }
}

pub(super) fn run(command: &AgentCommand, output: Output) -> Result<Done, Failure> {
    match command {
        AgentCommand::Install(args) => install(args, output),
        AgentCommand::Uninstall => uninstall(output),
    }
}

fn install(args: &InstallArgs, output: Output) -> Result<Done, Failure> {
    // A service that would not start is not made.
    let config = Config::load()?;
    let program = crate::program::own()?;
    let (service, is_new) = make(&info(args, &program, &config.path))?;
    let problems = settle(&service);
    output.line(format!("The service {NAME} {}.", if is_new { "is installed" } else { "is changed" }));
    for problem in &problems {
        output.toned("", "warning", Some(Tone::Warn), &format!(": {problem}"));
    }
    output.line(format!("It works by {}. Start it: net start {NAME}", config.path.display()));
    let exit = if problems.is_empty() { Exit::Good } else { Exit::Finding };
    let account = args.account.as_deref().unwrap_or("LocalSystem");
    let result = json!({ "service": NAME, "new": is_new, "account": account, "program": path_text(&program),
        "config": path_text(&config.path), "warnings": problems });
    Ok(Done { exit, result })
}

fn info(args: &InstallArgs, program: &Path, config: &Path) -> ServiceInfo {
    let mut words: Vec<OsString> =
        vec!["agent".into(), "--service".into(), "--config".into(), config.as_os_str().to_owned()];
    if let Some(address) = args.listen {
        words.extend(["--listen".into(), address.to_string().into()]);
    }
    ServiceInfo {
        name: NAME.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: words,
        dependencies: Vec::new(),
        account_name: Some(args.account.as_deref().unwrap_or("LocalSystem").into()),
        account_password: None,
    }
}

/// Makes the service, or changes the one that is there. Whether it is new.
fn make(info: &ServiceInfo) -> Result<(Service, bool), Failure> {
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let failed = |error| failure_of("make the service", &error);
    let manager = ServiceManager::local_computer(None::<&str>, access).map_err(failed)?;
    // To restart a service on failure takes the right to start it.
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START;
    match manager.create_service(info, access) {
        Ok(service) => Ok((service, true)),
        Err(error) if number(&error) == Some(IS_THERE) => {
            let service = manager.open_service(NAME, access).map_err(failed)?;
            service.change_config(info).map_err(failed)?;
            Ok((service, false))
        }
        Err(error) => Err(failed(error)),
    }
}

/// What a service has beside its program. It works without these, so what the system refuses is told, and the rest is done.
fn settle(service: &Service) -> Vec<String> {
    let actions = RESTARTS.map(|delay| ServiceAction { action_type: ServiceActionType::Restart, delay });
    let failure_actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGOTTEN_AFTER),
        reboot_msg: None,
        command: None,
        actions: Some(actions.to_vec()),
    };
    let done = [
        ("a description", service.set_description(DESCRIPTION)),
        ("a start after those that the machine needs", service.set_delayed_auto_start(true)),
        ("a start after a failure", service.update_failure_actions(failure_actions)),
        ("a start after an exit code", service.set_failure_actions_on_non_crash_failures(true)),
        ("time before a shutdown", service.set_preshutdown_timeout(BEFORE_SHUTDOWN)),
    ];
    let refused = |(what, done): (&str, windows_service::Result<()>)| {
        done.err().map(|error| format!("the service does not get {what}: {}", reason(&error)))
    };
    let unregistered = event_log::register().err();
    let unregistered =
        unregistered.map(|error| format!("the event log does not know {}: {error}", event_log::SOURCE));
    done.into_iter().filter_map(refused).chain(unregistered).collect()
}

fn uninstall(output: Output) -> Result<Done, Failure> {
    let failed = |error| failure_of("remove the service", &error);
    let manager =
        ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).map_err(failed)?;
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE;
    let service = manager.open_service(NAME, access).map_err(|error| match number(&error) {
        Some(NOT_THERE) => Failure {
            message: format!("there is no service {NAME}"),
            code: Hresult::from_win32(NOT_THERE.cast_unsigned()),
            remedy: "there is nothing to remove; certadm agent install makes one".to_owned(),
            exit: Exit::Refused,
            done: None,
            set: None,
        },
        _ => failed(error),
    })?;
    stop(&service)?;
    service.delete().map_err(failed)?;
    output.line(format!("The service {NAME} is removed."));
    let problem = event_log::unregister().err();
    let problem = problem.map(|error| format!("the event log keeps {}: {error}", event_log::SOURCE));
    if let Some(problem) = &problem {
        output.toned("", "warning", Some(Tone::Warn), &format!(": {problem}"));
    }
    let exit = if problem.is_none() { Exit::Good } else { Exit::Finding };
    Ok(Done { exit, result: json!({ "service": NAME, "warnings": problem.as_slice() }) })
}

/// Stops it, and waits until it has. It is told once: Wine kills a service that is told twice.
fn stop(service: &Service) -> Result<(), Failure> {
    let failed = |error| failure_of("stop the service", &error);
    let began = Instant::now();
    let mut is_told = false;
    loop {
        match service.query_status().map_err(failed)?.current_state {
            ServiceState::Stopped => return Ok(()),
            ServiceState::Running if !is_told => {
                is_told = true;
                match service.stop() {
                    // It has ended by itself, or was stopped by somebody else, since it was looked at.
                    Err(error) if !number(&error).is_some_and(|number| ENDS.contains(&number)) => {
                        return Err(failed(error));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        if BEFORE_SHUTDOWN < began.elapsed() {
            return Err(Failure {
                message: format!("the service {NAME} does not stop"),
                code: Hresult::ERROR_BUSY,
                remedy: "look at what it is at, end it by the Task Manager, and try again".to_owned(),
                exit: Exit::Refused,
                done: None,
                set: None,
            });
        }
        thread::sleep(GLANCE);
    }
}

/// What the system calls the error.
fn number(error: &windows_service::Error) -> Option<i32> {
    match error {
        windows_service::Error::Winapi(source) => source.raw_os_error(),
        _ => None,
    }
}

fn reason(error: &windows_service::Error) -> String {
    match error {
        windows_service::Error::Winapi(source) => source.to_string(),
        other => other.to_string(),
    }
}
