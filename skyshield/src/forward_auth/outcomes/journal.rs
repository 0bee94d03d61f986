//! Lines from the system's journal, as `journalctl` reads it out: it knows the format, we the lines.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

use super::Teller;
use super::lines::Lines;
use crate::forward_auth::config::Outcomes;

/// Where it ends or cannot be started, it is started again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Follows what the journal says until `stop`.
pub(super) async fn follow(outcomes: &Outcomes, teller: &Teller, stop: &CancellationToken) {
    loop {
        let reading = read(outcomes, teller);
        match stop.run_until_cancelled(reading).await {
            None => return,
            Some(Ok(())) => tracing::warn!("journalctl has ended: it is started again"),
            Some(Err(error)) => tracing::warn!(%error, "the journal cannot be read: trying again"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER)).await.is_none() {
            return;
        }
    }
}

async fn read(outcomes: &Outcomes, teller: &Teller) -> io::Result<()> {
    let mut command = Command::new("journalctl");
    command.args(["--follow", "--lines=0", "--output=cat", "--quiet", "--no-pager"]);
    for (option, value) in [("--unit", &outcomes.unit), ("--identifier", &outcomes.identifier)] {
        if let Some(value) = value {
            command.arg(format!("{option}={value}"));
        }
    }
    if let Some(directory) = &outcomes.directory {
        command.arg("--directory").arg(directory);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut reader = Reader(command.spawn()?);
    let said = reader.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut said = Receiver::from_owned_fd(said.into())?;
    let (mut lines, mut chunk) = (Lines::default(), vec![0; 64 * 1024]);
    loop {
        match said.read(&mut chunk).await? {
            0 => return Ok(()),
            count => lines.feed(chunk.get(..count).unwrap_or_default(), &teller.metrics.dropped, |line| {
                teller.take(line);
            }),
        }
    }
}

/// A process that ends with us.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
