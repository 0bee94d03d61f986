//! Certificates are taken up when their files change, and nobody is interrupted.

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{Certificates, Metrics, Tls};
use crate::clock;

/// Looks at the files now and then, until `stop`.
pub(in crate::gateway) async fn watch(
    tls: &Tls,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<(), JoinError> {
    let certificates = tls.certificates();
    for problem in certificates.out_of_time(clock::wall()) {
        tracing::error!("{problem}");
    }
    metrics.expire(&certificates.valid_until());
    while stop.run_until_cancelled(tokio::time::sleep(tls.poll_every)).await.is_some() {
        look(certificates, metrics).await?;
    }
    Ok(())
}

async fn look(certificates: &Certificates, metrics: &Metrics) -> Result<(), JoinError> {
    let blocking = certificates.clone();
    let (replaced, problems) = tokio::task::spawn_blocking(move || blocking.reload()).await?;
    if replaced > 0 {
        metrics.reloaded.inc_by(replaced as u64);
        metrics.expire(&certificates.valid_until());
        tracing::info!(certificates = replaced, "changed certificates are in use");
    }
    for problem in problems {
        metrics.kept.inc();
        let error = format!("{:#}", anyhow::Error::new(problem));
        tracing::error!(error, "a changed certificate is not usable; the one in use is kept");
    }
    Ok(())
}
