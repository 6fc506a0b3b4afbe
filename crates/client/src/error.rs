//! What can go wrong between here and a CA: whose fault it is, its HRESULT (certbcli.md 14), and what to do next.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::PathBuf;

use certadm_auth::{AuthError, SealError};
use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Hresult};
use certadm_session::OtherBackup;
use certadm_wire::rpc::{AssemblyError, ClientError, FaultStatus, NakReason, PduError};

use crate::answered;
use crate::denial::{Attempt, call_remedy, is_denial};
use crate::kerberos::KerberosError;
use crate::name::{NameError, OtherEntries};
use crate::refusal::Cause;
use crate::told::Told;

/// An error of the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text given does not name a server.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The client's configuration cannot be used.
    #[error("the client's configuration {path} cannot be used: {detail}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The text given does not name an account.
    #[error("{account:?} does not name an account")]
    Account {
        /// The text.
        account: String,
    },
    /// No account is known for a server that wants one.
    #[error("{server} is reached over the network, and no account is given for it{entries}")]
    NoAccount {
        /// The server.
        server: String,
        /// What it may be a misspelling of.
        entries: OtherEntries,
    },
    /// Several services of this machine have a socket, and its name does not say which is meant.
    #[error("several services run on this machine ({})", listed(sockets))]
    SeveralSockets {
        /// Their sockets.
        sockets: Vec<PathBuf>,
    },
    /// The configuration has one half of an account.
    #[error("the entry of {server} in client.toml has no {missing}")]
    HalfAccount {
        /// The server.
        server: String,
        /// The key that is missing.
        missing: &'static str,
    },
    /// The password could not be read.
    #[error("the password cannot be read from {place}")]
    PasswordSource {
        /// File or descriptor.
        place: String,
        /// The reason.
        source: std::io::Error,
    },
    /// What was read is no password.
    #[error("the password from {place} is {detail}")]
    PasswordUnusable {
        /// File or descriptor.
        place: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The host has no address.
    #[error("the host name {host:?} cannot be resolved to an address{entries}")]
    Resolve {
        /// The host.
        host: String,
        /// The reason.
        source: std::io::Error,
        /// What it may be a misspelling of.
        entries: OtherEntries,
    },
    /// No connection came about.
    #[error("no connection to {peer}")]
    Connect {
        /// Address and port, or socket.
        peer: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The connection broke before the call was sent.
    #[error("the connection to {peer} is gone; {during} was not begun")]
    NotSent {
        /// Address and port, or socket.
        peer: String,
        /// The call or step.
        during: &'static str,
    },
    /// The connection broke after the call was sent.
    #[error("the connection to {peer} broke during {during}")]
    Lost {
        /// Address and port, or socket.
        peer: String,
        /// The call or step.
        during: &'static str,
        /// The reason, where there is one; a peer that closes gives none.
        source: Option<std::io::Error>,
    },
    /// No byte came for too long, or too few.
    #[error("{peer} did not answer {during} within {seconds} s")]
    Timeout {
        /// Address and port, or socket.
        peer: String,
        /// The call or step.
        during: &'static str,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server refuses the bind as a whole.
    #[error("{peer} refuses the connection at {during} (bind_nak reason {}){told}", .reason.0)]
    BindRefused {
        /// Address and port, or socket.
        peer: String,
        /// The step.
        during: &'static str,
        /// Its reason.
        reason: NakReason,
        /// What the server tells beside it.
        told: Told,
    },
    /// The server does not have an interface.
    #[error("{peer} does not serve {interface}")]
    NoInterface {
        /// Address and port, or socket.
        peer: String,
        /// The interface's name.
        interface: &'static str,
    },
    /// The server leaves authentication or protection out.
    #[error("{peer} {detail}; the connection was closed before anything was sent unprotected")]
    Unprotected {
        /// Address and port, or socket.
        peer: String,
        /// What it left out.
        detail: &'static str,
    },
    /// The handshake failed.
    #[error("authentication with {peer} failed")]
    Authentication {
        /// Address and port.
        peer: String,
        /// Why.
        source: AuthError,
    },
    /// There is no ticket for the server.
    #[error("no Kerberos ticket for the server")]
    Kerberos(#[source] KerberosError),
    /// The server does not take a ticket. Windows may tell why; others do not.
    #[error(
        "{peer} does not take the ticket for {service}{}{told}",
        if *speaks { "" } else { "; it does not speak Kerberos" }
    )]
    TicketRefused {
        /// Address and port.
        peer: String,
        /// For what the ticket is.
        service: String,
        /// Whether it speaks Kerberos at all, as far as it says.
        speaks: bool,
        /// What the server tells beside its refusal.
        told: Told,
    },
    /// A message could not be sealed, or does not verify.
    #[error("the protection of the connection to {peer} failed")]
    Protection {
        /// Address and port.
        peer: String,
        /// Why.
        source: SealError,
    },
    /// The server sent bytes that are no PDU.
    #[error("{peer} does not speak the protocol")]
    Pdu {
        /// Address and port, or socket.
        peer: String,
        /// What is wrong with them.
        source: PduError,
    },
    /// The server sent PDUs that do not fit the state of the connection; or this program asked out of turn.
    #[error("the conversation with {peer} broke down")]
    Conversation {
        /// Address and port, or socket.
        peer: String,
        /// How.
        source: ClientError,
    },
    /// An answer does not decode.
    #[error("the answer to {call} does not decode")]
    Answer {
        /// The call.
        call: &'static str,
        /// Where it fails.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer contradicts itself, or an earlier one.
    #[error("the answer to {call} cannot be right: {detail}")]
    BadAnswer {
        /// The call.
        call: &'static str,
        /// What contradicts what.
        detail: String,
    },
    /// The call failed outside its method (wire.md 2.6, 2.16).
    #[error("{call} was refused with fault {status}: {}{told}", meaning(call, fault_code(*.status)))]
    Fault {
        /// The call.
        call: &'static str,
        /// The status on the wire.
        status: FaultStatus,
        /// Whether the server says that the call was not begun.
        did_not_execute: bool,
        /// What else the server says of it.
        told: Told,
    },
    /// The server has no such object for us (wire.md 4.6).
    #[error("the CA's administration object could not be activated: {}", activation_meaning(*.code))]
    Activation {
        /// Its HRESULT.
        code: Hresult,
    },
    /// The method itself refused or failed, and nothing more is known.
    #[error("{call} failed: {}", answered::text(*.code))]
    Method {
        /// The call.
        call: &'static str,
        /// Its HRESULT.
        code: Hresult,
    },
    /// Access was denied, and the cause was found out.
    #[error("{call} is denied: {}", .cause.finding())]
    Denied {
        /// The call.
        call: &'static str,
        /// Why.
        cause: Cause,
    },
    /// The server has no CA of the name that was given, or wants to be given one.
    #[error("{}", wrong_ca(.given.as_deref(), .has.as_deref()))]
    WrongCa {
        /// The name that was given.
        given: Option<String>,
        /// The name of the CA that it has, where it says so.
        has: Option<String>,
    },
    /// Another backup runs.
    #[error(transparent)]
    OtherBackup(OtherBackup),
    /// The configuration is no file that may be read as one.
    #[error(transparent)]
    ConfigFile(certadm_files::Error),
    /// The system gave no random bytes.
    #[error("the system's random source failed")]
    Random,
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
}

impl Diagnosis for Error {
    /// A code of certbcli.md 14.2 and 14.3.
    fn hresult(&self) -> Hresult {
        match self {
            Self::Name(error) => error.hresult(),
            Self::Config { .. }
            | Self::Account { .. }
            | Self::SeveralSockets { .. }
            | Self::HalfAccount { .. }
            | Self::PasswordUnusable { .. }
            | Self::WrongCa { .. } => Hresult::E_INVALIDARG,
            Self::NoAccount { .. }
            | Self::Unprotected { .. }
            | Self::TicketRefused { .. }
            | Self::Denied { .. } => Hresult::E_ACCESSDENIED,
            Self::Kerberos(error) => error.hresult(),
            Self::PasswordSource { source, .. } => certadm_files::io_hresult(source),
            // The socket is there, and this user may not open it.
            Self::Connect { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Hresult::E_ACCESSDENIED
            }
            Self::Resolve { .. } => Hresult::ERROR_BAD_NETPATH,
            Self::Connect { .. } => Hresult::RPC_S_SERVER_UNAVAILABLE,
            Self::NotSent { .. } => Hresult::RPC_S_CALL_FAILED_DNE,
            Self::Lost { .. } | Self::Timeout { .. } => Hresult::RPC_S_CALL_FAILED,
            Self::BindRefused { reason, .. } => match *reason {
                NakReason::CONGESTION | NakReason::LOCAL_LIMIT => Hresult::RPC_S_SERVER_TOO_BUSY,
                NakReason::AUTH_TYPE | NakReason::INVALID_CHECKSUM => Hresult::E_ACCESSDENIED,
                _ => Hresult::RPC_S_INVALID_BINDING,
            },
            Self::NoInterface { .. } => Hresult::RPC_S_INVALID_BINDING,
            Self::Authentication { source, .. } => Hresult::from_bits(source.hresult()),
            Self::Protection { source, .. } => Hresult::from_bits(source.hresult()),
            Self::Pdu { .. } | Self::Conversation { .. } | Self::Answer { .. } => {
                Hresult::RPC_X_BAD_STUB_DATA
            }
            Self::BadAnswer { .. } => Hresult::ERROR_INVALID_DATA,
            Self::Fault { status, .. } => fault_code(*status),
            Self::Activation { code } | Self::Method { code, .. } => *code,
            Self::OtherBackup(error) => error.hresult(),
            Self::ConfigFile(error) => error.hresult(),
            Self::Random => Hresult::E_FAIL,
            Self::Thread(_) => Hresult::E_OUTOFMEMORY,
        }
    }

    fn class(&self) -> Class {
        match self {
            // The command line lacks an account, or names none.
            Self::NoAccount { .. } => Class::Usage,
            Self::Kerberos(error) => error.class(),
            // What the file holds cannot be a password; the command line is right.
            Self::PasswordUnusable { .. } => Class::Refused,
            // A code that the CA sent blames nobody here.
            Self::Fault { .. } | Self::Activation { .. } | Self::Method { .. } => {
                answered::class(self.hresult())
            }
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Name(_) => "give --server as host, host:port, host\\CA name, or a name of client.toml",
            Self::Config { .. } => "correct the file; docs/remote.md describes it",
            Self::Account { .. } => "write it as DOMAIN\\user, user@domain or user",
            Self::NoAccount { .. } => {
                "add --user DOMAIN\\user, --keytab FILE or --ticket-cache; or user and password_file, keytab or ticket_cache to the \
                 server's entry in client.toml"
            }
            Self::SeveralSockets { .. } => {
                "name the one that is meant by --socket PATH, or by `socket` in client.toml"
            }
            Self::HalfAccount { .. } => "give the entry both user and password_file",
            Self::PasswordSource { source, .. } => certadm_files::io_remedy(source),
            Self::PasswordUnusable { .. } => {
                "put the password, and nothing else, into the file or descriptor"
            }
            Self::Resolve { .. } => {
                "check the spelling of --server: a name of client.toml, a host, or its address"
            }
            Self::Connect { source, .. } => connect_remedy(source),
            Self::NotSent { .. } => "try again; the server had closed the connection",
            Self::Lost { .. } | Self::Timeout { .. } => {
                "start the backup again; if it fails again, look at the CA's own log and at what stands between the hosts"
            }
            Self::BindRefused { reason, .. } => match *reason {
                NakReason::CONGESTION | NakReason::LOCAL_LIMIT => {
                    "try again later; the server has too many connections"
                }
                NakReason::AUTH_TYPE | NakReason::INVALID_CHECKSUM => {
                    "check account and password; the server may not allow NTLM: see `mechanism` in docs/remote.md"
                }
                _ => "make sure that the port is that of an RPC server",
            },
            Self::NoInterface { .. } => {
                "make sure that the name is that of a CA and the port that of its object resolver"
            }
            Self::Unprotected { .. } => "do not trust this server; find out what stands between the hosts",
            Self::Kerberos(error) => return error.remedy(),
            Self::TicketRefused { speaks: false, .. } => {
                "give our own service a keytab ([kerberos] in ca.toml); or log on by NTLM: --mechanism ntlm"
            }
            Self::TicketRefused { .. } => {
                "compare the server's address with DNS, look for a second account with its name (`setspn -X`), and make the \
                 service's keytab anew; the log of our own service says which it is"
            }
            Self::Authentication { source: AuthError::Kerberos { error }, .. } => return error.remedy(),
            Self::Authentication { source: AuthError::TicketTooLarge { .. }, .. } => {
                "take an account in fewer groups, or log on by NTLM: --mechanism ntlm"
            }
            Self::Authentication { .. } => {
                "check account, domain and password; the server has to allow NTLMv2 with 128-bit sealing"
            }
            Self::Protection { .. } => {
                "start again; if it fails again, something between the hosts alters the traffic"
            }
            Self::Conversation { source: ClientError::Assembly(AssemblyError::TooLarge { .. }), .. } => {
                "take a CRL that is so large from the CA's publication points; where none was asked for, do not trust this \
                 server"
            }
            Self::Pdu { .. } | Self::Conversation { .. } | Self::Answer { .. } | Self::BadAnswer { .. } => {
                "do not trust this server; make sure that name and port are those of a CA"
            }
            Self::Fault { call, status, .. } => return call_remedy(call, fault_code(*status)),
            Self::Activation { code } => return Attempt::Activation.code_remedy(*code),
            Self::Method { call, code } => return call_remedy(call, *code),
            Self::WrongCa { has: Some(has), .. } => {
                return Cow::Owned(format!("name it so: --server 'host\\{has}', or leave the CA's name out"));
            }
            Self::WrongCa { has: None, .. } => {
                "write the name as `certutil -config - -ping` on that machine has it: --server 'host\\CA name'"
            }
            Self::Denied { cause, .. } => return Cow::Owned(cause.remedy()),
            Self::OtherBackup(error) => return error.remedy(),
            Self::ConfigFile(error) => return error.remedy(),
            Self::Random | Self::Thread(_) => "look at the limits of this machine",
        })
    }
}

impl Error {
    /// An answer that does not decode.
    pub(crate) fn answer(call: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Answer { call, source: Box::new(source) }
    }

    /// Whether the connection is of no use after this error.
    #[must_use]
    pub(crate) const fn ends_connection(&self) -> bool {
        !matches!(
            self,
            Self::Fault { .. }
                | Self::Activation { .. }
                | Self::Method { .. }
                | Self::Denied { .. }
                | Self::WrongCa { .. }
                | Self::OtherBackup(_)
                | Self::NoInterface { .. }
        )
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// The HRESULT of a fault's status (wire.md 2.16).
pub(crate) const fn fault_code(status: FaultStatus) -> Hresult {
    Hresult::from_win32(status.client_code())
}

fn connect_remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            "start the certificate service; nothing listens there, or a firewall refuses"
        }
        ErrorKind::TimedOut => "open the port in the firewalls on the way, or check the address",
        ErrorKind::NotFound => "start the service (`certadm serve`), or name its socket by --socket PATH",
        ErrorKind::PermissionDenied => "run as a user who may open the service's socket",
        _ => "check name, port, firewalls, and that the machine is up",
    }
}

/// What a code means as the answer to a step or call.
fn meaning(call: &str, code: Hresult) -> &'static str {
    if is_denial(code) { Attempt::of(call).meaning() } else { answered::text(code) }
}

/// An activation is answered only to an account that was accepted.
fn activation_meaning(code: Hresult) -> &'static str {
    if is_denial(code) { Attempt::Activation.meaning() } else { answered::text(code) }
}

fn wrong_ca(given: Option<&str>, has: Option<&str>) -> String {
    match (given, has) {
        (Some(given), Some(has)) => format!("the server has no CA named {given:?}; it has {has:?}"),
        (Some(given), None) => {
            format!("the server has no CA named {given:?}, and does not say which one it has")
        }
        (None, Some(has)) => format!("the server wants to be told the name of its CA, which is {has:?}"),
        (None, None) => "the server wants to be told the name of its CA".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denial::{ACTIVATION, LOGON};

    /// The codes of certbcli.md 14.3 that a client makes by itself.
    #[test]
    fn failures_have_the_codes_of_the_table() {
        let io = || std::io::Error::from(ErrorKind::ConnectionRefused);
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        let peer = || "ca1:135".to_owned();
        let during = "BackupPrepare";
        for (error, code) in [
            (Error::Connect { peer: peer(), source: io() }, 0x8007_06BA),
            (Error::Connect { peer: peer(), source: denied }, 0x8007_0005),
            (Error::Resolve { host: peer(), source: io(), entries: OtherEntries::default() }, 0x8007_0035),
            (Error::HalfAccount { server: peer(), missing: "user" }, 0x8007_0057),
            (Error::NotSent { peer: peer(), during }, 0x8007_06BF),
            (Error::Lost { peer: peer(), during, source: None }, 0x8007_06BE),
            (Error::Timeout { peer: peer(), during, seconds: 5 }, 0x8007_06BE),
            (
                Error::BindRefused {
                    peer: peer(),
                    during,
                    reason: NakReason::CONGESTION,
                    told: Told::default(),
                },
                0x8007_06BB,
            ),
            (Error::NoInterface { peer: peer(), interface: "ICertAdminD" }, 0x8007_06A6),
            (
                Error::Fault {
                    call: during,
                    status: FaultStatus::BAD_STUB_DATA,
                    did_not_execute: false,
                    told: Told::default(),
                },
                0x8007_06F7,
            ),
            (
                Error::Fault {
                    call: during,
                    status: FaultStatus::CANCELLED,
                    did_not_execute: false,
                    told: Told::default(),
                },
                0x8007_071A,
            ),
            (
                Error::Fault {
                    call: during,
                    status: FaultStatus::DISCONNECTED,
                    did_not_execute: false,
                    told: Told::default(),
                },
                0x8001_0108,
            ),
            (
                Error::Fault {
                    call: during,
                    status: FaultStatus::ACCESS_DENIED,
                    did_not_execute: true,
                    told: Told::default(),
                },
                0x8007_0005,
            ),
            (
                Error::Fault {
                    call: during,
                    status: FaultStatus(0),
                    did_not_execute: true,
                    told: Told::default(),
                },
                0x8007_06BE,
            ),
            (Error::Activation { code: Hresult::REGDB_E_CLASSNOTREG }, 0x8004_0154),
            (Error::Activation { code: Hresult::CO_E_SERVER_EXEC_FAILURE }, 0x8008_0005),
        ] {
            assert_eq!(error.hresult(), Hresult::from_bits(code), "{error}");
            assert!(!error.remedy().is_empty() && !error.remedy().ends_with('.'));
        }
    }

    /// What was typed or configured wrong is usage; what cannot be used although it was named right is refused.
    #[test]
    fn mistakes_of_the_user_are_told_from_refusals() {
        let place = || "file".to_owned();
        let missing = std::io::Error::from(ErrorKind::NotFound);
        for (error, class) in [
            (Error::Config { path: place().into(), detail: String::new() }, Class::Usage),
            (Error::Account { account: String::new() }, Class::Usage),
            (Error::NoAccount { server: String::new(), entries: OtherEntries::default() }, Class::Usage),
            (Error::SeveralSockets { sockets: vec![place().into()] }, Class::Usage),
            (Error::PasswordUnusable { place: place(), detail: "empty" }, Class::Refused),
            (Error::PasswordSource { place: place(), source: missing }, Class::Refused),
            (Error::Timeout { peer: place(), during: "BackupRead", seconds: 5 }, Class::Unreachable),
            (Error::BadAnswer { call: "BackupRead", detail: String::new() }, Class::Damaged),
        ] {
            assert_eq!(error.class(), class, "{error}");
        }
    }

    /// The codes by which Windows says what is wrong with an account or with DCOM: as a fault and as an HRESULT alike.
    #[test]
    fn faults_and_results_are_explained_alike() {
        for (status, words) in [
            (0x721, "NTLM"),
            (0x52E, "password"),
            (0x532, "change the password"),
            (0x533, "enable the account"),
            (0x773, "change the password"),
            (0x775, "unlock the account"),
            (0x569, "Access this computer from the network"),
            (0x6D3, "--mechanism kerberos"),
            (0x8000_4027, "dcomcnfg"),
            (0x8001_011B, "Certificate Service DCOM Access"),
        ] {
            let fault = Error::Fault {
                call: ACTIVATION,
                status: FaultStatus(status),
                did_not_execute: true,
                told: Told::default(),
            };
            let code = fault.hresult();
            assert!(code.name().is_some() && code.class() == Class::Refused, "{code}");
            let result = Error::Activation { code };
            for error in [&fault, &result] {
                assert!(error.to_string().ends_with(code.text()), "{error}");
                assert!(error.remedy().contains(words), "{error}: {}", error.remedy());
            }
            assert_eq!(fault.remedy(), result.remedy());
        }
    }

    #[test]
    fn a_denial_means_what_was_tried() {
        let fault = |call| Error::Fault {
            call,
            status: FaultStatus::ACCESS_DENIED,
            did_not_execute: true,
            told: Told::default(),
        };
        let backup = fault(ACTIVATION);
        assert!(backup.to_string().contains("password"), "{backup}");
        for words in ["password", "Certificate Service DCOM Access"] {
            assert!(backup.remedy().contains(words), "{}", backup.remedy());
        }
        let activation = Error::Activation { code: Hresult::E_ACCESSDENIED };
        assert!(activation.remedy().contains("Certificate Service DCOM Access"));
        assert!(!activation.to_string().contains("password") && !activation.remedy().contains("password"));
        assert!(fault(LOGON).remedy().contains("password"));
        assert_eq!(fault("BackupPrepare").remedy(), Hresult::E_ACCESSDENIED.remedy());
        assert!(fault("RevokeCertificate").remedy().contains("--role officer"));
        assert!(fault("PublishCRLs").remedy().contains("--role administrator"));
    }

    /// A remedy names what the call can be refused for.
    #[test]
    fn a_refusal_of_arguments_means_those_of_the_call() {
        let remedy = |call, code| Error::Method { call, code }.remedy().into_owned();
        for call in ["GetServerState", "Ping", "BackupPrepare", "ServerControl", "PublishCRLs"] {
            assert!(remedy(call, Hresult::E_INVALIDARG).contains("name the CA"), "{call}");
        }
        for call in ["BackupOpenFile", "BackupReadFile", "BackupEnd", ACTIVATION] {
            assert!(!remedy(call, Hresult::E_INVALIDARG).contains("name the CA"), "{call}");
        }
        assert!(remedy("BackupOpenFile", Hresult::E_INVALIDARG).contains("without their first character"));
        assert!(remedy("PublishCRLs", Hresult::E_NOTIMPL).contains("certadm ca crl"));
    }

    #[test]
    fn a_wrong_ca_is_told_the_right_one() {
        let error = |given: Option<&str>, has: Option<&str>| Error::WrongCa {
            given: given.map(str::to_owned),
            has: has.map(str::to_owned),
        };
        let named = error(Some("Other"), Some("Example CA"));
        assert_eq!(named.to_string(), "the server has no CA named \"Other\"; it has \"Example CA\"");
        assert!(named.remedy().contains("host\\Example CA"), "{}", named.remedy());
        assert_eq!(named.class(), Class::Usage);
        for other in [error(None, Some("x")), error(None, None), error(Some("x"), None)] {
            assert!(!other.to_string().is_empty() && !other.remedy().is_empty());
        }
    }
}
