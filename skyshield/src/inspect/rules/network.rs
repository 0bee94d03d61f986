//! Addresses and protocol lines in values: where a server should not go, and what it should not say.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::values::Parts;

const fn pattern(id: &'static str, class: Class, confidence: f64, pattern: &'static str) -> Rule {
    Rule::new(id, class, confidence, Check::Pattern(pattern)).at(Parts::PARAMS)
}

/// Places that hold no text of several lines.
const ONE_LINE: Parts = Parts::PATH.and(Parts::QUERY).and(Parts::COOKIE).and(Parts::HEADER);

pub(super) const RULES: &[Rule] = &[
    pattern(
        "ssrf.metadata",
        Class::Ssrf,
        0.93,
        r"//(?:[^/@\s]*@)?(?:169\.254\.169\.254|169\.254\.170\.2|metadata\.google\.internal|100\.100\.100\.200|instance-data\b|\[?fd00:ec2::254|\[::ffff:(?:169\.254|a9fe)|0xa9fea9fe|0xa9\.|2852039166|025177524776|rancher-metadata)|\blatest/meta-data\b|\bcomputemetadata/v1",
    )
    .needs(b"/", b"169mM0cC")
    .words(&["//", "meta-data", "computemetadata"]),
    pattern(
        "ssrf.odd-scheme",
        Class::Ssrf,
        0.88,
        r"^\s*(?:url:)?(?:gopher|dict|tftp|netdoc|jar:(?:https?|file|ftp)|ldaps?|imap|smb|rmi|iiop)s?:/{1,2}[^\s]",
    )
    .needs(b":", b"/")
    .words(&["gopher", "dict", "tftp", "netdoc", "jar:", "ldap", "imap", "smb", "rmi", "iiop"]),
    pattern(
        "ssrf.disguised-address",
        Class::Ssrf,
        0.88,
        r"^\s*(?:https?|ftp):/{1,3}(?:[^/@\s]*@)?(?:0x[0-9a-f]{2,8}\b|0[0-7]{3,11}[.:/]|\d{8,10}(?:[:/]|$)|127\.\d{1,3}(?:[:/]|$)|127\.0\.1(?:[:/]|$)|0(?:[:/]|$)|\[[0:]*(?:1|ffff:[\d.a-f:]+|:)?\](?:[:/]|$)|[\w.-]*\b(?:nip\.io|xip\.io|sslip\.io|localtest\.me|lvh\.me|vcap\.me|burpcollaborator\.net|oastify\.com|interact\.sh)\b|(?:localhost|127\.0\.0\.1)(?:[^\w.:/?#-]|%))",
    )
    .needs(b":", b"/")
    .words(&["http", "ftp"]),
    pattern(
        "ssrf.internal-service",
        Class::Ssrf,
        0.85,
        r"^\s*(?:https?|ftp):/{1,3}(?:[^/@\s]*@)?(?:localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\]|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+|172\.(?:1[6-9]|2\d|3[01])\.\d+\.\d+)(?::(?:21|22|23|25|53|80|110|143|389|443|445|2375|2376|3306|3389|5432|5984|6379|8500|9200|10050|11211|27017)(?:/|$)|/(?:admin|server-status|manager|console|latest|actuator|phpmyadmin|_cat|v\d/agent)|/?$)",
    )
    .needs(b":", b"/")
    .words(&["http", "ftp"]),
    pattern(
        "redirect.disguised",
        Class::OpenRedirect,
        0.85,
        r"^\s*(?:https?:)?[/\\]+[\t\r\n\\]+[/\\;]*@?[\w.@-]+\.[a-z]{2,}|^\s*/{3,}[\w.@-]+\.[a-z]{2,}|^\s*(?:https?:)?/{1,}[\w.-]+@[\w.-]+\.[a-z]{2,}/*\s*$|^\s*/{1,3}https?:|^\s*https?:[\w.-]+\.[a-z]{2,}/*$|^\s*/?[\\]+/?[\w.-]+\.[a-z]{2,}/*$|^\s*//[\w-]+\.[a-z]{2,}/*\s*$|^\s*https?://[^\s/?#]+[\\]",
    )
    .needs(b"/\\", b".")
    .at(Parts::PARAMS),
    pattern(
        "redirect.path",
        Class::OpenRedirect,
        0.85,
        r"^/{2,}[\w.@-]+\.(?:com|net|org|io|tld|co|info|biz|ru|cn|xyz|site|evil)/*(?:%2f|\.\.)*$|^/+(?:[\t\r\n\\<]|<>)+/*@?[\w.@-]+\.[a-z]{2,}/*$|^/+https?:[/\\\t]*[\w.@-]+\.[a-z]{2,}/*$|^/+;@[\w.-]+|^/+\\+;?@?[\w.-]+\.[a-z]{2,}",
    )
    .needs(b"/", b".")
    .at(Parts::PATH),
    pattern(
        "splitting.header",
        Class::ResponseSplitting,
        0.94,
        r"(?:[\r\n]|\\r\\n|(?:\xe5\x98\x8a)?\xe5\x98\x8d|\xc4\x8d\xc4\x8a)\s*(?:set-cookie|location|content-length|content-type|transfer-encoding|refresh|x-[a-z-]{2,30}|access-control-[a-z-]+|link|status|host|cookie|header-\w+)\s*:|[\r\n]\s*http/[\d.]+\s+\d{3}",
    )
    .at(ONE_LINE)
    .needs(b"\r\n\\\x98\x8d", b":/"),
    pattern(
        "splitting.header-field",
        Class::ResponseSplitting,
        0.86,
        r"^[^\r\n]*(?:\r\n|\n|\r|\\r\\n)\s*(?:set-cookie|transfer-encoding|access-control-[a-z-]+|location|content-length)\s*:\s*\S[^\n]*\s*$|^[^\r\n]*[\r\n]+\s*http/[\d.]+\s+\d{3}\b",
    )
    .at(Parts::FIELD)
    .needs(b"\r\n\\", b":/"),
    pattern(
        "mail.header",
        Class::MailInjection,
        0.86,
        r#"^[^\r\n]{0,100}[\r\n]+\s*["']?(?:bcc|cc|to|subject|from|reply-to|mime-version|content-transfer-encoding)\s*:\s*\S"#,
    )
    .at(ONE_LINE)
    .needs(b"\r\n", b":"),
    pattern(
        "mail.header-field",
        Class::MailInjection,
        0.86,
        r"^[^\s@]{1,64}@[^\s@]{1,100}\s*[\r\n]+\s*(?:bcc|cc|to|subject|from)\s*:\s*\S",
    )
    .at(Parts::FIELD)
    .needs(b"\r\n", b":"),
    pattern(
        "mail.command",
        Class::MailInjection,
        0.93,
        r#"[\r\n]\s*(?:mail from\s*:|rcpt to\s*:|(?:ehlo|helo|vrfy|expn)\s+\S|data\s*[\r\n])|(?:^|[\s"'])[a-z]\d{2,4}\s+(?:capability|fetch|login|logout|select|create|delete|rename|noop|examine|list|status|search|store|copy|append|close|expunge)\b|^[^\r\n]*[\r\n]+\s*(?:quit|rset|data)\s*[\r\n]+\s*$"#,
    )
    .at(Parts::INPUT.and(Parts::COOKIE).and(Parts::HEADER))
    .needs(b" \t\r\n", b":0123456789hHqQrRdD")
    .words(&[
        "mail", "rcpt", "ehlo", "helo", "vrfy", "expn", "data", "capability", "fetch", "log", "select", "create",
        "delete", "rename", "noop", "examine", "list", "status", "search", "store", "copy", "append", "close",
        "expunge", "quit", "rset",
    ]),
    pattern(
        "rfi.script",
        Class::RemoteFile,
        0.86,
        r"^\s*(?:(?:ht|f)tps?|smb)://\S+\.(?:txt|php\d?|phtml|inc)\?+$|^\s*(?:ht|f)tps?://(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?/\S*\.(?:php\d?|txt|sh|pl|py|exe|ps1|hta|bat)\b|^\s*(?:ht|f)tps?://\S*(?:/|\b)(?:rfi\w*|c99|r57|shell|cmd|evil|webshell|backdoor)\w*\.(?:txt|php|gif|jpg|inc)\b",
    )
    .needs(b":", b"/"),
];
