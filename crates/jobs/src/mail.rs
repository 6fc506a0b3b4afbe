//! An alarm by mail: SMTP by the crate `lettre`, TLS by rustls with the system's list of authorities or one of a file.

#[cfg(feature = "http")]
pub(crate) use sending::send;

#[cfg(feature = "http")]
mod sending {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use certadm_files::read;
    use certadm_rules::diagnosis::chain_of;
    use lettre::address::Envelope;
    use lettre::message::Mailbox;
    use lettre::message::header::ContentType;
    use lettre::transport::smtp::authentication::Credentials;
    use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
    use lettre::transport::smtp::extension::ClientId;
    use lettre::{Message, SmtpTransport, Transport};
    use zeroize::Zeroizing;

    use crate::alarm::{News, Turn};
    use crate::config::{Mail, Protection};
    use crate::journal::sentence;
    use crate::place::moment;
    use crate::unheard::Unheard;

    /// How long the server may take for each answer.
    const ANSWER: Duration = Duration::from_secs(30);
    /// How long it may take for all of them.
    const ALL: Duration = Duration::from_secs(90);
    /// No password or list of authorities is longer than this, in bytes.
    const MAX_PASSWORD: u64 = 4096;
    const MAX_AUTHORITIES: u64 = 4 << 20;

    /// Sends it to one of those whom it is for, and returns when the server has taken it: a server that refuses one address of several
    /// takes the mail for none.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn send(mail: &Mail, to: &str, news: &News) -> Result<(), Unheard> {
        let message = message(mail, to, news)?;
        let transport = transport(mail)?;
        let (sender, answer) = mpsc::channel();
        // A server that says one letter now and then would never be late; then this thread is left behind.
        thread::spawn(move || sender.send(transport.send(&message)).ok());
        let server = &mail.server;
        match answer.recv_timeout(ALL) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let why = format!("{server} has not taken the mail for {to}: {}", chain_of(&error));
                // It has answered with a number (RFC 5321, section 4.2).
                let is_refused = error.is_permanent() || error.is_transient();
                Err(if is_refused { Unheard::Refused(why) } else { Unheard::Silent(why) })
            }
            Err(_) => Err(format!("{server} has not taken the mail within {} seconds", ALL.as_secs()).into()),
        }
    }

    fn message(mail: &Mail, to: &str, news: &News) -> Result<Message, String> {
        let broken = |error: &dyn std::fmt::Display| format!("the mail cannot be written: {error}");
        let mailbox = |address: &str| address.parse::<Mailbox>().map_err(|error| broken(&error));
        let alarm = &news.alarm;
        let turn = if news.event == Turn::Begins { "begins" } else { "ends" };
        let envelope = Envelope::new(Some(mailbox(&mail.from)?.email), vec![mailbox(to)?.email]);
        let mut builder = Message::builder()
            .envelope(envelope.map_err(|error| broken(&error))?)
            .from(mailbox(&mail.from)?)
            .subject(format!("[certadm] {}: {} {turn}", alarm.subject(), alarm.about))
            .header(ContentType::TEXT_PLAIN);
        for address in &mail.to {
            builder = builder.to(mailbox(address)?);
        }
        let mut text = format!("{}.\n\n", sentence(news));
        if news.event == Turn::Begins {
            text += &format!("What to do: {}.\n\n", alarm.remedy);
        }
        let of = match (alarm.job.as_str(), alarm.ca.as_str()) {
            (_, "") => "All CAs".to_owned(),
            ("", ca) => format!("No job, CA {ca}"),
            (job, ca) => format!("Job {job}, CA {ca}"),
        };
        text += &format!("{of}, since {}.\n", moment(news.since));
        builder.body(text).map_err(|error| broken(&error))
    }

    fn transport(mail: &Mail) -> Result<SmtpTransport, String> {
        let tls = match mail.tls {
            Protection::None => Tls::None,
            Protection::Starttls => Tls::Required(parameters(mail)?),
            Protection::Tls => Tls::Wrapper(parameters(mail)?),
        };
        let host = super::name_of_this_machine();
        let mut builder = SmtpTransport::builder_dangerous(mail.server.as_str())
            .port(mail.port)
            .tls(tls)
            .timeout(Some(ANSWER))
            .hello_name(ClientId::Domain(host));
        if let Some((user, file)) = &mail.account {
            let bytes = read::bounded(file, MAX_PASSWORD).map_err(|error| chain_of(&error))?;
            let bytes = Zeroizing::new(bytes);
            let text = read::without_byte_order_mark(&bytes).and_then(|text| std::str::from_utf8(text).ok());
            let password = text.ok_or_else(|| format!("{} is no text in UTF-8", file.display()))?;
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(builder.build())
    }

    fn parameters(mail: &Mail) -> Result<TlsParameters, String> {
        let failed = |error: &dyn std::fmt::Display| format!("TLS cannot be used: {error}");
        let mut builder = TlsParameters::builder(mail.server.clone());
        if let Some(file) = &mail.ca_file {
            let bytes = read::bounded(file, MAX_AUTHORITIES).map_err(|error| chain_of(&error))?;
            let authority = Certificate::from_pem(&bytes)
                .map_err(|error| format!("{} has no certificates: {error}", file.display()))?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
        }
        builder.build_rustls().map_err(|error| failed(&error))
    }
}

#[cfg(all(unix, feature = "http"))]
fn name_of_this_machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(all(not(unix), feature = "http"))]
fn name_of_this_machine() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".to_owned())
}

/// This build has no mail.
///
/// # Errors
/// Always.
#[cfg(not(feature = "http"))]
pub(crate) fn send(_mail: &crate::config::Mail, _to: &str, _news: &crate::alarm::News) -> Result<(), String> {
    Err("this build of certadm has no mail: it was built without the feature object-store".to_owned())
}
