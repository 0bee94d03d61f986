//! Who knocks, and for what: scanners, shells left behind, files that only a scanner asks for, uploads that run.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::decode::Views;
use crate::inspect::graphql;
use crate::inspect::values::Parts;

const fn pattern(id: &'static str, class: Class, confidence: f64, pattern: &'static str) -> Rule {
    Rule::new(id, class, confidence, Check::Pattern(pattern)).on(Views::DEEP)
}

pub(super) const RULES: &[Rule] = &[
    pattern(
        "scanner.agent",
        Class::Scanner,
        0.86,
        r"\b(?:sqlmap|nikto|nessus|acunetix|nuclei|wpscan|masscan|zgrab|dirbuster|gobuster|feroxbuster|fuzz faster u fool|wfuzz|havij|w3af|arachni|openvas|netsparker|skipfish|whatweb|fimap|commix|jorgee|morfeus|zmeu|xsser|jaeles|l9explore|appscan|webinspect|dirsearch|metasploit|sqlninja|bsqlbf|brutus/|cgichk|grendel-scan|absinthe|pangolin|webshag|vega/\d|zaproxy|burpcollaborator)\b",
    )
    .at(Parts::AGENT)
    .words(&[
        "sqlmap", "nikto", "nessus", "acunetix", "nuclei", "wpscan", "masscan", "zgrab", "dirbuster", "gobuster",
        "feroxbuster", "fuzz faster", "wfuzz", "havij", "w3af", "arachni", "openvas", "netsparker", "skipfish",
        "whatweb", "fimap", "commix", "jorgee", "morfeus", "zmeu", "xsser", "jaeles", "l9explore", "appscan",
        "webinspect", "dirsearch", "metasploit", "sqlninja", "bsqlbf", "brutus", "cgichk", "grendel-scan",
        "absinthe", "pangolin", "webshag", "vega/", "zaproxy", "burpcollaborator",
    ]),
    pattern("scanner.library", Class::Scanner, 0.2, r"^(?:python-requests|python-urllib|go-http-client|libwww-perl|scrapy|java/1|lwp-trivial|mechanize)")
        .at(Parts::AGENT)
        .words(&["python-", "go-http", "libwww", "scrapy", "java/", "lwp-", "mechanize"]),
    pattern(
        "probe.known-exploit",
        Class::Probe,
        0.86,
        r"/(?:vendor/phpunit/|.*eval-stdin\.php|hnap1\b|boaform/|gponform/|jmx-console\b|invoker/(?:jmx|ejb)|_ignition/execute|autodiscover\.json\?.*@|remote/fgt_lang|dana-na/|\+cscot\+|tmui/login\.jsp/|mgmt/tm/util/bash|wls-wsat/|_async/asyncresponse|api/jsonws/invoke|ws/v1/cluster/apps|containers/json\b|actuator/(?:env|heapdump|gateway|jolokia|threaddump)\b|solr/\w+/(?:config|dataimport)|cgi-bin/(?:test-cgi|php\d?\b|luci/;|\.%|bash|sh\b)|owa/auth/x\.js|setup\.cgi\?|shell\?cd|thinkphp|telescope/requests|\.svn/(?:entries|wc\.db)|\.hg/|\.ds_store\b|server-status\b|phpmyadmin/scripts/|wp-content/plugins/[^/]+/readme\.txt|xmlrpc\.php\?rsd.{0,4}\.\.|druid/index\.html|geoserver/wfs\?.*exec)",
    )
    .at(Parts::PATH)
    .needs(b"/", b"./_-+"),
    // A list of paths to try, sent without its placeholder filled in.
    pattern("probe.placeholder", Class::Probe, 0.83, r"^[./\\]{1,200}\{file\}$")
        .at(Parts::PARAMS)
        .needs(b"{", b"./\\"),
    pattern("probe.schema", Class::Probe, 0.4, r"\b__schema\s*\{|\b__type\s*\(")
        .at(Parts::INPUT)
        .words(&["__schema", "__type"]),
    Rule::new("probe.deep-query", Class::Probe, 0.4, Check::Structure(graphql::is_deep))
        .at(Parts::PARAMS)
        .needs(b"{", b"}"),
    Rule::new("probe.repeated-query", Class::Probe, 0.4, Check::Structure(graphql::has_many_aliases))
        .at(Parts::PARAMS)
        .needs(b"{", b":"),
    pattern(
        "session.chosen-cookie",
        Class::SessionFixation,
        0.88,
        r#"\bdocument\s*\.\s*cookie\s*=[^=]|\bhttp-equiv\s*=?\s*['"]?\s*set-cookie\b|\.cookie\b[^=;]*=[^;]*;\s*(?:expires|domain|path|max-age)\s*="#,
    )
    .at(Parts::INPUT)
    .words(&["cookie"]),
    // Old applications write it into their own links: a hint, unless something else speaks up.
    pattern(
        "session.id-in-link",
        Class::SessionFixation,
        0.3,
        r"^(?:php_?sess(?:ion)?_?id|j_?sess(?:ion)?_?id|asp(?:\.net)?_?session_?id\w{0,20}|cf(?:id|token)|session_?id|connect\.sid)$",
    )
    .at(Parts::QUERY)
    .words(&["sess", "cfid", "cftoken", "connect.sid"]),
    pattern(
        "shell.known-name",
        Class::WebShell,
        0.88,
        r"/(?:c99|r57|wso\d?|b374k|alfa\w{0,6}|indoxploit|webshell|antsword|behinder|godzilla|weevely|p0wny\w*|mini-?shell|cmdshell|cmd)\.(?:php\d?|phtml|aspx?|jspx?|cfm|pl|py)\b",
    )
    .at(Parts::PATH)
    .needs(b"/", b"."),
    pattern(
        "upload.running-name",
        Class::WebShell,
        0.86,
        r"\.(?:php\d?|phtml|phar|pht|phps|aspx?|ashx|asmx|cer|asa|jspx?|jspf|war|cfm|cgi|shtml|htaccess)(?:[.;:%\x00\s/]|$)|^\.ht|(?:^|/)web\.config$|\x00|(?:^|[/\\])\.\.[/\\]",
    )
    .at(Parts::FILENAME)
    .needs(b".\0", b"pPaAsShHwWcC./\\"),
    pattern(
        "upload.running-content",
        Class::WebShell,
        0.93,
        r#"<\?php\s|<\?=\s*(?:\$_|system|exec|passthru|shell_exec|eval|`)|<%@\s*(?:page|language)\b|<%\s*(?:eval|execute)\b|<script\s+(?:language\s*=\s*['"]?\w+['"]?\s+)?runat\s*=\s*['"]?server|\beval\s*\(\s*(?:\$_(?:get|post|request|cookie)|base64_decode|gzinflate|request\b)|\b(?:passthru|system|shell_exec|assert)\s*\(\s*\$_(?:get|post|request|cookie)|addhandler\s+\S+\s+\.|application/x-httpd-php|runtime\.getruntime\(\)\.exec|php_value\s+auto_(?:prepend|append)"#,
    )
    .at(Parts::FILE)
    .needs(b"<(. /", b"eEuUpPaA")
    .words(&["<?", "<%", "<script", "eval", "passthru", "system", "shell_exec", "assert", "addhandler", "x-httpd-php", "getruntime", "php_value"]),
    pattern("upload.script-in-file", Class::WebShell, 0.5, r"<script[\s>]|\bonload\s*=")
        .at(Parts::FILE)
        .words(&["<script", "onload"]),
];
