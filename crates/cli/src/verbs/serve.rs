//! `certadm serve`: the certificate service (wire.md 4, 5).

use std::net::SocketAddr;
use std::path::PathBuf;

use certadm_ca::{Config, identity, modes};
use certadm_client::own_host_name;
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::flags::{AUDIT_BACKUP, InterfaceFlags};
use certadm_server::{Addresses, Confined, Inherited, Reach, Server, Settings, SocketWish};
use certadm_session::restore;
use certadm_store::{Folder, record};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::log;
use crate::output::{Done, Ended, Output, Said, path_text};

/// `certadm serve`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm serve --dir /srv/ca --listen 0.0.0.0:135 --allow-remote-backup\n\
    Stop it with SIGTERM or SIGINT. It then archives its log and closes the database.\n\
    Sockets that a service manager hands over (LISTEN_FDS) go before --listen, --exporter-port and --socket.\n\
    Where the kernel has Landlock, the service can reach no file outside of the CA's folder.")]
pub(crate) struct ServeArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Address and port of the resolver, which clients dial; port 0 for any [default: ca.toml, else 127.0.0.1:135]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Port of the exporter, on the same address; 0 for any
    #[arg(long, value_name = "PORT")]
    pub(crate) exporter_port: Option<u16>,
    /// The Unix socket of local callers [default: ca.toml, else /run/certadm/certadm.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Let operators take backups over TCP (clears 0x40 of InterfaceFlags); callers over loopback count as remote
    #[arg(long)]
    pub(crate) allow_remote_backup: bool,
    /// Write events as JSON lines
    #[arg(long)]
    pub(crate) log_json: bool,
}

/// Serves until it is stopped. The addresses are printed as soon as it listens; a good end adds nothing to them.
pub(crate) fn run(args: &ServeArgs, output: Output) -> Ended {
    Ended { said: Said::Everything, outcome: serve(args, output) }
}

fn serve(args: &ServeArgs, output: Output) -> Result<Done, Failure> {
    log::of_service(args.log_json);
    let inherited = Inherited::from_environment()?;
    let folder = Folder::new(&args.dir);
    let config = Config::load(&folder.config_path())?;
    let mut settings = Settings::from_config(&config, folder.path(), own_host_name());
    if let Some(listen) = args.listen {
        settings.resolver = listen;
    }
    if let Some(port) = args.exporter_port {
        settings.exporter_port = port;
    }
    if let Some(socket) = &args.socket {
        settings.socket = SocketWish::Path(socket.clone());
    }
    if args.allow_remote_backup {
        settings.interface_flags = settings.interface_flags.without(InterfaceFlags::NO_REMOTE_BACKUP);
    }
    if let Some(exposure) = modes::exposures(&folder).into_iter().next() {
        return Err(exposure.refused().into());
    }
    // A restore that is registered names files elsewhere, which the start reads.
    let waits = record::read(&folder)?.is_some();
    if !waits {
        confine(&folder, &settings, &inherited);
    }
    let audits = settings.audit_filter & AUDIT_BACKUP != 0;
    let store = restore::start(&folder, config.database.store_options(), audits).inspect_err(|error| {
        tracing::error!(event = 17, error = %chain_of(error), code = %error.hresult(), "certificate service did not start");
    })?;
    identity::check(store.writer()?.connection(), &folder).inspect_err(|error| {
        tracing::error!(event = 17, error = %chain_of(error), code = %error.hresult(), "certificate service did not start");
    })?;
    if waits {
        confine(&folder, &settings, &inherited);
    }
    let server = Server::start_with(store, settings, inherited)?;
    server.stop_on_signals()?;
    announce(server.addresses(), output)?;
    certadm_server::tell_ready();
    let stopped = server.run();
    if !stopped.all_left {
        tracing::warn!("some connections did not end in time");
    }
    match stopped.close_error {
        Some(error) => Err(error.into()),
        None => Ok(Done::good(Value::Null)),
    }
}

/// Leaves the process what it needs to serve this CA, as far as the system does that.
fn confine(folder: &Folder, settings: &Settings, inherited: &Inherited) {
    #[cfg(unix)]
    let is_handed = inherited.socket.is_some();
    #[cfg(not(unix))]
    let is_handed = { inherited.exporter.is_some() };
    let socket_dir = settings.socket.dir().filter(|_| !is_handed);
    let keytab = settings.kerberos.as_ref().map(|kerberos| kerberos.keytab.as_path());
    let reach = Reach::of_service(folder, socket_dir.as_deref(), keytab);
    let folders: Vec<String> = reach.folders.iter().map(|folder| path_text(folder)).collect();
    match certadm_server::confine(&reach) {
        Ok(Confined::Wholly) => {
            tracing::info!(?folders, "confined: no other file, no program, no TCP connection out");
        }
        Ok(Confined::Partly) => tracing::info!(?folders, "confined as far as this kernel does it"),
        Ok(Confined::Not) => tracing::warn!("not confined: this system has no Landlock"),
        Err(error) => tracing::warn!(%error, "not confined: the system refuses"),
    }
}

fn announce(addresses: &Addresses, output: Output) -> Result<(), Failure> {
    let Addresses { resolver, exporter, socket } = addresses;
    output.line(format!("Listening on {resolver} (exporter port {}).", exporter.port()));
    match socket {
        Some(path) => output.line(format!("Local callers: {}.", path.display())),
        None => output.line("No Unix socket: all callers come over TCP."),
    }
    output.say(
        "serve",
        &Done::good(json!({
            "listen": resolver.to_string(),
            "exporter": exporter.to_string(),
            "socket": socket.as_deref().map(path_text),
            "pid": std::process::id(),
        })),
    )
}
