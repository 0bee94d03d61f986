//! Which site a request is for, and where its upstreams are.

use std::process::Command;

use anyhow::ensure;
use tests::daemon;
use tests::http::field;
use tests::loopback::{Loopback, until};
use tests::nginx::Nginx;

pub(crate) fn each_has_its_site() -> anyhow::Result<()> {
    let (main, shop, admin) = (Nginx::saying("main")?, Nginx::saying("shop")?, Nginx::saying("admin")?);
    let sites = format!(
        "[[gateway.sites]]\nname = \"shop\"\nhosts = [\"shop.example\", \"*.shop.example\"]\n\
         upstreams = [\"{}\"]\nheaders = {{ profile = \"modern\" }}\n\
         [[gateway.sites]]\nname = \"admin\"\nhosts = [\"admin.shop.example\"]\nupstreams = [\"{}\"]\n\
         headers = {{ profile = \"off\" }}\n",
        shop.address, admin.address
    );
    let upstream = format!("upstream = \"{}\"\n", main.address);
    let guard = Loopback::start(&format!("{upstream}{sites}"))?;
    for (host, name, frame) in [
        ("shop.example", "shop", "SAMEORIGIN"),
        ("www.SHOP.example:8080", "shop", "SAMEORIGIN"),
        ("admin.shop.example", "admin", "SAMEORIGIN"),
        ("elsewhere.example", "main", "DENY"),
    ] {
        let answer = guard.get(host, "/")?;
        ensure!(answer.body == name.as_bytes(), "{host}: {}", String::from_utf8_lossy(&answer.body));
        let found = field(&answer.head, "x-frame-options");
        ensure!(found == Some(frame), "{host}: {found:?}");
        ensure!(field(&answer.head, "x-xss-protection").is_some() == (name != "admin"), "{}", answer.head);
    }
    let old = guard.ask(b"GET / HTTP/1.0\r\n\r\n")?;
    ensure!(old.body == b"main", "HTTP/1.0 names no host");

    for (policy, status) in [("misdirected", 421), ("not_found", 404)] {
        let guard = Loopback::start(&format!("{upstream}unknown_host = \"{policy}\"\n{sites}"))?;
        let answer = guard.get("elsewhere.example", "/")?;
        ensure!(answer.status == status, "{policy}: {}", answer.head);
        ensure!(field(&answer.head, "x-skyshield-incident").is_some(), "{}", answer.head);
        ensure!(guard.ask(b"GET / HTTP/1.0\r\n\r\n")?.status == status);
        ensure!(guard.get("shop.example", "/")?.body == b"shop");
    }
    Ok(())
}

/// Why names cannot be moved here; `None` if they can.
pub(crate) fn moving_missing() -> Option<String> {
    let own = Command::new("unshare").args(["--mount", "true"]).output();
    (!own.is_ok_and(|output| output.status.success())).then(|| "needs root and mount namespaces".to_owned())
}

/// The daemon gets a file of host names of its own, and the name of its upstream is moved in it.
pub(crate) fn a_name_that_moves() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let names = dir.path().join("hosts");
    std::fs::write(&names, "127.0.0.1 localhost\n127.0.0.2 shop.internal\n")?;
    let first = Nginx::at(tests::loopback::free()?, &tests::nginx::saying("nobody"))?;
    let port = first.address.port();
    drop(first);
    let _old = Nginx::at(([127, 0, 0, 2], port).into(), &tests::nginx::saying("old"))?;
    let _new = Nginx::at(([127, 0, 0, 3], port).into(), &tests::nginx::saying("new"))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg(format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", names.display()));
    command.arg(daemon::program()?);
    let config = format!("upstream = \"shop.internal:{port}\"\n[gateway.limits]\nupstream_lookup_secs = 1\n");
    let guard = Loopback::by(command, &config)?;
    ensure!(guard.get("a", "/")?.body == b"old");
    std::fs::write(&names, "127.0.0.1 localhost\n127.0.0.3 shop.internal\n")?;
    until("the name's new address is asked", || Ok(guard.get("a", "/")?.body == b"new"))?;
    // A resolver that knows nothing takes no site with it.
    std::fs::write(&names, "127.0.0.1 localhost\n")?;
    let failed = format!(
        "skyshield_upstream_lookups_failed_total{{site=\"default\",upstream=\"shop.internal:{port}\"}}"
    );
    until("a lookup has failed", || Ok(guard.metric(&failed)? >= 1.0))?;
    ensure!(guard.get("a", "/")?.body == b"new");
    Ok(())
}
