//! What attacks have had in common.

use tests::loopback::until;

use crate::shop::Shop;

#[test]
fn an_attack_leaves_indicators_that_are_exported_and_kept() {
    let shop = Shop::open("[limits]\nenabled = false\n").unwrap();
    for n in 0..3 {
        let answer = shop
            .get(&format!("45.9.9.{n}"), "/?q=1%27%20union%20select%20password%20from%20users--")
            .unwrap();
        assert_eq!(answer.status, 403);
    }
    let daemon = &shop.daemon.daemon;
    until("they are there", || {
        let page = daemon.json("/api/v1/security/threats/?kind=address")?;
        Ok(page["items"].as_array().is_some_and(|items| items.len() == 3))
    })
    .unwrap();
    let page = daemon.json("/api/v1/security/threats/").unwrap();
    let kinds: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["kind"].clone()).collect();
    for kind in ["address", "prefix", "user_agent", "header_order", "payload"] {
        assert!(kinds.contains(&kind.into()), "{kind} in {page}");
    }
    let address = &page["items"][0];
    assert_eq!((&address["count"], &address["threats"][0]), (&1.into(), &"sqli".into()));
    assert!(address["evidence"][0].as_str().is_some_and(|id| id.len() == 26));
    let stix = daemon.json("/api/v1/security/threats/?format=stix").unwrap();
    assert_eq!(stix["type"], "bundle");
    let shop = shop.restart().unwrap();
    let after = shop.daemon.daemon.json("/api/v1/security/threats/?kind=address").unwrap();
    let values = |page: &serde_json::Value| -> Vec<serde_json::Value> {
        page["items"].as_array().unwrap().iter().map(|item| item["value"].clone()).collect()
    };
    assert_eq!(values(&after), ["45.9.9.0", "45.9.9.1", "45.9.9.2"]);
    for (address, is_suspect) in [("45.9.9.0", true), ("45.9.9.77", true), ("45.9.8.0", false)] {
        let explained = shop.daemon.daemon.json(&format!("/api/v1/explain/{address}")).unwrap();
        let terms = explained["terms"].as_array().unwrap();
        assert_eq!(terms.iter().any(|term| term["rule"] == "indicators"), is_suspect, "{explained}");
    }
}
