//! Mail, by SMTP: STARTTLS or nothing, unless the operator says otherwise.

use std::path::Path;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::response::Category;
use lettre::transport::smtp::{self, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::config::{MailConfig, Tls as Secured};
use super::message::Notice;
use super::sender::{Attempt, ReceiversError, read_secret};

/// The server answers each command within this long, or not.
const PATIENCE: Duration = Duration::from_secs(10);
/// A whole mail is sent within this long, or not.
const WHOLE: Duration = Duration::from_secs(30);

/// RFC 3834.
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A mail server, and whom mail goes to.
pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    /// Reads the password and the certificates: may block.
    pub(super) fn new(config: &MailConfig) -> Result<Self, ReceiversError> {
        let wrong =
            |what: &'static str, why: &dyn std::fmt::Display| ReceiversError { what, why: why.to_string() };
        let address = |text: &str| text.parse::<Mailbox>().map_err(|error| wrong("alerts.email", &error));
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.server)
            .port(config.port)
            .timeout(Some(PATIENCE))
            .tls(secured(config)?)
            // A connection that was kept may be dead by the next alert.
            .pool_config(PoolConfig::new().max_size(1).idle_timeout(Duration::from_secs(5)));
        if let (Some(user), Some(file)) = (&config.user, &config.password_file) {
            let password = read_secret("alerts.email.password_file", file)?;
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let to = config.to.iter().map(|text| address(text)).collect::<Result<_, _>>()?;
        Ok(Self { transport: builder.build(), from: address(&config.from)?, to })
    }

    /// Sends `notice` to everyone, in one mail. A server that does not know one of them refuses it for all: then
    /// each gets it by himself, and it is sent where somebody has it.
    pub(super) async fn send(&self, notice: &Notice, id: &str, host: &str) -> Attempt {
        let message = match self.message(notice, id, host) {
            Ok(message) => message,
            Err(error) => return Attempt::Never(error),
        };
        let (everyone, mail) = (message.envelope(), message.formatted());
        let mut outcome = self.hand_over(everyone, &mail).await;
        if everyone.to().len() < 2 || !matches!(outcome, Attempt::Never(_)) {
            return outcome;
        }
        for to in everyone.to() {
            let one = match Envelope::new(everyone.from().cloned(), vec![to.clone()]) {
                Ok(one) => self.hand_over(&one, &mail).await,
                Err(error) => Attempt::Never(error.to_string()),
            };
            if let Attempt::Later(why) | Attempt::Never(why) = &one {
                tracing::warn!(%to, why, "the mail server does not take an alert for one of its receivers");
            }
            if one == Attempt::Done || matches!((&outcome, &one), (Attempt::Never(_), Attempt::Later(_))) {
                outcome = one;
            }
        }
        outcome
    }

    async fn hand_over(&self, envelope: &Envelope, mail: &[u8]) -> Attempt {
        match tokio::time::timeout(WHOLE, self.transport.send_raw(envelope, mail)).await {
            Ok(Ok(_)) => Attempt::Done,
            Ok(Err(error)) if error.is_permanent() && !is_of_the_password(&error) => {
                Attempt::Never(with_cause(&error))
            }
            Ok(Err(error)) => Attempt::Later(with_cause(&error)),
            Err(_) => Attempt::Later(format!("no answer within {} s", WHOLE.as_secs())),
        }
    }

    fn message(&self, notice: &Notice, id: &str, host: &str) -> Result<Message, String> {
        let (text, html) = notice.bodies(host).map_err(|error| error.to_string())?;
        // One line, whatever is in it: a header ends where a line does.
        let subject: String = notice
            .subject()
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(200)
            .collect();
        let mut builder =
            Message::builder().from(self.from.clone()).subject(format!("SkyShield {host}: {subject}"));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        // Under the same id a server may recognise what is sent again.
        builder
            // Nobody's absence is to be told to it.
            .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
            .message_id(Some(format!("<{id}@skyshield.invalid>")))
            .multipart(MultiPart::alternative_plain_html(text, html))
            .map_err(|error| error.to_string())
    }
}

/// Whether it was refused for want of a good password, which is mended one day: 530, 534, 535 and 538.
fn is_of_the_password(error: &smtp::Error) -> bool {
    error.status().is_some_and(|code| code.category == Category::Unspecified3)
}

fn secured(config: &MailConfig) -> Result<Tls, ReceiversError> {
    let wrong = |error: &dyn std::fmt::Display| ReceiversError {
        what: "alerts.email.ca_file",
        why: error.to_string(),
    };
    if config.tls == Secured::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(config.server.clone());
    if let Some(file) = &config.ca_file {
        let pem = read(file)?;
        parameters =
            parameters.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| wrong(&error))?);
    }
    let parameters = parameters.build().map_err(|error| wrong(&error))?;
    Ok(if config.tls == Secured::Wrapped { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

fn read(file: &Path) -> Result<Vec<u8>, ReceiversError> {
    std::fs::read(file).map_err(|error| ReceiversError {
        what: "alerts.email.ca_file",
        why: format!("{}: {error}", file.display()),
    })
}

fn with_cause(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
