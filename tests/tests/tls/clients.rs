//! What curl and openssl get.

use std::fs;

use anyhow::ensure;

use super::guard::{Guard, well};

const SAYING: &str = "location / { default_type text/plain; return 200 'from=$http_x_forwarded_proto'; }";
const PROTOCOLS: [(&str, &str, &str); 4] = [
    ("--http1.1", "--tls-max=1.3", "1.1"),
    ("--http1.1", "--tls-max=1.2", "1.1"),
    ("--http2", "--tls-max=1.3", "2"),
    ("--http2", "--tls-max=1.2", "2"),
];

pub(crate) fn every_protocol() -> anyhow::Result<()> {
    let guard = Guard::start(SAYING)?;
    let report = ["--write-out", "|%{http_version}|%{http_code}"];
    for (protocol, version, told) in PROTOCOLS {
        let version = version.replace('=', " ");
        let words: Vec<&str> = version.split(' ').chain([protocol]).chain(report).collect();
        for host in ["shop.example", "www.shop.example"] {
            let said = well(&guard.curl(host, "/", &words)?)?;
            ensure!(said == format!("from=https|{told}|200"), "{words:?}: {said}");
        }
        let attack = well(&guard.curl("shop.example", "/?q=%3Cscript%3Ealert(1)%3C/script%3E", &words)?)?;
        ensure!(attack.ends_with(&format!("|{told}|403")), "{words:?}: {attack}");
    }
    let stranger = guard.curl("other.example", "/", &[])?;
    ensure!(stranger.status.code() == Some(60), "no certificate is for it: {}", stranger.status);
    ensure!(guard.daemon.metric("skyshield_tls_handshakes_total{outcome=\"done\"}")? > 7.5);
    Ok(())
}

pub(crate) fn large_bodies() -> anyhow::Result<()> {
    const BYTES: usize = 20_000_000;
    let guard = Guard::start("location / { dav_methods PUT; create_full_put_path on; }")?;
    let noise: Vec<u8> =
        (0..BYTES).map(|at| b'a' + u8::try_from(at % 251 % 26).unwrap_or_default()).collect();
    let (file, back) = (guard.nginx.dir().join("file"), guard.nginx.dir().join("back"));
    fs::write(&file, &noise)?;
    for (protocol, _, _) in PROTOCOLS {
        let out = back.to_string_lossy().into_owned();
        well(&guard.curl("shop.example", "/file", &[protocol, "--fail", "--output", &out])?)?;
        ensure!(fs::read(&back)? == noise, "{protocol}: what came down is not what is there");
        let up = file.to_string_lossy().into_owned();
        let said = well(&guard.curl(
            "shop.example",
            "/up",
            &[protocol, "--upload-file", &up, "--write-out", "%{http_code}"],
        )?)?;
        // Debian's small nginx takes no uploads; what it says of one comes from behind us all the same.
        ensure!(
            said.ends_with("405") || said.ends_with("201") || said.ends_with("204"),
            "{protocol}: {said}"
        );
    }
    Ok(())
}

pub(crate) fn what_is_offered() -> anyhow::Result<()> {
    let guard = Guard::start(SAYING)?;
    for (words, told) in [
        (&["-servername", "shop.example", "-alpn", "h2,http/1.1"][..], "ALPN protocol: h2"),
        (&["-servername", "shop.example", "-alpn", "http/1.1,h2"], "ALPN protocol: h2"),
        (&["-servername", "shop.example", "-alpn", "http/1.1"], "ALPN protocol: http/1.1"),
        (&["-servername", "shop.example"], "No ALPN negotiated"),
        (&["-servername", "shop.example", "-tls1_3"], "New, TLSv1.3"),
        (&["-servername", "shop.example", "-tls1_2"], "New, TLSv1.2"),
        (&["-servername", "shop.example", "-verify_hostname", "shop.example"], "Verify return code: 0 (ok)"),
        (
            &["-servername", "a.shop.example", "-verify_hostname", "a.shop.example"],
            "Verify return code: 0 (ok)",
        ),
        (&["-noservername", "-verify_hostname", "shop.example"], "Verify return code: 0 (ok)"),
        (&["-servername", "shop.example", "-alpn", "spdy/3"], "alert number 120"),
        (
            &["-servername", "shop.example", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "alert handshake failure",
        ),
        (&["-servername", "shop.example", "-tls1_2", "-cipher", "AES128-SHA"], "alert handshake failure"),
    ] {
        let said = guard.s_client(words)?;
        ensure!(said.contains(told), "{words:?}: not `{told}` in\n{said}");
    }
    Ok(())
}
