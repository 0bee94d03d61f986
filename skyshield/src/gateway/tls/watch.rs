//! Certificates are taken up when their files change, and nobody is interrupted.

use std::sync::Arc;

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{Certificates, Metrics, Tls};
use crate::clock;
use crate::gateway::live::Live;

/// Looks at the files now and then, until `stop`.
pub(in crate::gateway) async fn watch(live: &Live, stop: &CancellationToken) -> Result<(), JoinError> {
    let mut told: Option<Arc<Tls>> = None;
    while let Some(tls) = live.tls.load_full() {
        let (certificates, metrics) = (tls.certificates(), live.load().metrics.tls.clone());
        if told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &tls)) {
            look(certificates, &metrics).await?;
        } else {
            for problem in certificates.out_of_time(clock::wall()) {
                tracing::error!("{problem}");
            }
            metrics.expire(&certificates.valid_until());
        }
        let poll_every = tls.poll_every;
        told = Some(tls);
        if stop.run_until_cancelled(tokio::time::sleep(poll_every)).await.is_none() {
            break;
        }
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
