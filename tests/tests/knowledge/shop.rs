//! A daemon behind which an application says yes to everything, and in front of which a proxy names the
//! clients.

use std::path::Path;

use tests::http::Answer;
use tests::loopback::Loopback;
use tests::standin::{Manner, StandIn};

/// The daemon, and its application.
pub(crate) struct Shop {
    pub(crate) daemon: Loopback,
    _application: StandIn,
}

impl Shop {
    /// A daemon with these tables in its configuration.
    pub(crate) fn open(tables: &str) -> anyhow::Result<Self> {
        let application = StandIn::always(Manner::status(200, "welcome"))?;
        let gateway = format!(
            "upstream = \"{}\"\ntrusted_proxies = [\"127.0.0.1\"]\n\n{tables}",
            application.address()
        );
        Ok(Self { daemon: Loopback::start(&gateway)?, _application: application })
    }

    /// The same after the daemon was stopped and started.
    pub(crate) fn restart(self) -> anyhow::Result<Self> {
        Ok(Self { daemon: self.daemon.restart()?, ..self })
    }

    /// The same after the daemon has crashed and is back.
    pub(crate) fn crash(self) -> anyhow::Result<Self> {
        Ok(Self { daemon: self.daemon.crash()?, ..self })
    }

    /// The answer to a GET of `target` by `client`.
    pub(crate) fn get(&self, client: &str, target: &str) -> anyhow::Result<Answer> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
             X-Forwarded-For: {client}\r\nConnection: close\r\n\r\n"
        );
        self.daemon.ask(request.as_bytes())
    }
}

/// A file with `key` in it, in `dir`.
pub(crate) fn key_file(dir: &Path, key: &str) -> anyhow::Result<String> {
    let path = dir.join("key");
    std::fs::write(&path, key)?;
    Ok(path.display().to_string())
}

/// The sections that ask `provider` for reputation, with room for `budget` questions.
pub(crate) fn asking(provider: &StandIn, key_file: &str, budget: u32) -> String {
    format!(
        "[limits]\nenabled = false\n\n[reputation.abuseipdb]\nurl = \"{}\"\nkey_file = \"{key_file}\"\n\
         checks_per_day = {budget}\n",
        provider.url()
    )
}
