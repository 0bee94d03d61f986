//! Alerts by webhook: signed, and sent once whoever was away is back.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, ensure};
use tests::loopback::free;
use tests::place::Place;

/// One request, whole, answered with `status`.
fn take(listener: &TcpListener, status: &str) -> Result<String> {
    let (mut stream, _) = listener.accept()?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = tests::http::field(head, "content-length").context("no length")?.parse::<usize>()?;
            if body.len() >= length {
                break;
            }
        }
        match stream.read(&mut chunk)? {
            0 => break,
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn signed_and_late() -> Result<()> {
    let address = free()?;
    let secrets = tempfile::tempdir()?;
    let secret = secrets.path().join("secret");
    std::fs::write(&secret, "a secret between two\n")?;
    let text = format!(
        "[metrics]\ninterval_secs = 1\n[alerts]\ngroup_wait_secs = 0\n\
         [[alerts.rules]]\nname = \"always\"\nmetric = \"process_resident_memory_bytes\"\nabove = 1\n\
         [[alerts.webhooks]]\nname = \"hook\"\nurl = \"http://{address}/alerts\"\nsecret_file = \"{}\"\n",
        secret.display()
    );
    let place = Place::new("", &text)?;
    // Nobody listens yet, and the daemon is killed meanwhile: the message is on the disk.
    let daemon = place.start()?;
    tests::loopback::until("the message could not be sent", || {
        let page = daemon.get("/api/v1/monitoring/prometheus/")?;
        Ok(page.contains("skyshield_alert_notices_total{outcome=\"failed\",receiver=\"hook\"}"))
    })?;
    daemon.kill()?;
    let (tell, told) = mpsc::sync_channel(4);
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        for status in ["503 Not Now", "200 OK"] {
            // Who has gone has seen enough.
            let _gone = tell.send(take(&listener, status));
        }
    });
    let daemon = place.start()?;
    let patience = std::time::Duration::from_secs(30);
    let first = told.recv_timeout(patience).context("nothing came")??;
    let again = told.recv_timeout(patience).context("it was not tried again")??;
    for request in [&first, &again] {
        let (head, body) = request.split_once("\r\n\r\n").context("no body")?;
        ensure!(head.starts_with("POST /alerts HTTP/1.1"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body)?;
        ensure!(body["rule"] == "always" && body["kind"] == "firing", "{body:#}");
        let signature = tests::http::field(head, "x-skyshield-signature").context("it is not signed")?;
        ensure!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
    }
    let key = |request: &str| tests::http::field(request, "idempotency-key").map(str::to_owned);
    ensure!(key(&first).is_some() && key(&first) == key(&again), "one message, two keys");
    tests::loopback::until("it is counted as sent", || {
        let page = daemon.get("/api/v1/monitoring/prometheus/")?;
        Ok(page.contains("skyshield_alert_notices_total{outcome=\"sent\",receiver=\"hook\"} 1"))
    })
}
