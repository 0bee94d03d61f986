//! Leaving the document root, and files that no page hands out.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::decode::Views;
use crate::inspect::values::Parts;

const fn rule(id: &'static str, confidence: f64, check: Check) -> Rule {
    Rule::new(id, Class::PathTraversal, confidence, check).on(Views::DEEP.and(Views::PATH))
}

pub(super) const RULES: &[Rule] = &[
    rule("traversal.climb", 0.94, Check::Pattern(r"(?:\.\.+[/\\;]+){3,}|(?:[/\\]\.\.){3,}"))
        .at(Parts::INPUT)
        .needs(b".", b"/\\").words(&[".."]),
    rule("traversal.climb-short", 0.84, Check::Pattern(r"^(?:[\w.%:-]*[/\\]){0,4}?(?:\.\.[/\\]+){2,}|^[/\\]+\.\.[/\\]"))
        .at(Parts::PARAMS)
        .needs(b".", b"/\\").words(&[".."]),
    rule("traversal.hidden-climb", 0.95, Check::Hidden(r"(?:^|[^.])\.\.[/\\]|[/\\]\.\.(?:[/\\]|$)"))
        .at(Parts::INPUT)
        .needs(b".", b"/\\").words(&[".."]),
    rule(
        "traversal.odd-climb",
        0.93,
        Check::Pattern(
            r"(?:(?:^|[/\\])(?:\.{2,}|\.\s|\.%00|\.\?|\.;|\.\.;)[/\\]){2,}|(?:\./){6,}|(?:\.\\){4,}|(?:\.{2,4}[/\\]+){3,}|(?:[/\\]\.){8,}|\.{10,}[/\\]|[/\\]\.{8,}|(?:(?:\?\.|\.\?)[/\\]+){2,}|^[/\\%]*(?:(?:\?\?|\?\.|\.\?|\.{2,4})[/\\]+)+(?:etc|windows|winnt|proc|boot\.ini)",
        ),
    )
    .at(Parts::INPUT)
    .needs(b".", b"/\\").words(&["..", "./", ".\\", "/.", "\\.", "?.", ".?", "??", ".%00", ". /"]),
    rule("traversal.step", 0.5, Check::Pattern(r"(?:^|[/\\=])\.\.[/\\]"))
        .at(Parts::INPUT)
        .needs(b".", b"/\\").words(&[".."]),
    rule(
        "traversal.climb-to-file",
        0.95,
        Check::Pattern(
            r"\.\.[/\\]+(?:[\w.-]+[/\\]+)*(?:etc[/\\]|proc[/\\]|boot\.ini|win(?:dows|nt)?(?:[/\\]|\.ini)|system32|var[/\\]log|wp-config|web\.config|web-inf|\.env\b|\.git\b|\.ht(?:access|passwd)|\.ssh\b|passwd|shadow|config\.\w+|global\.asa|\w+\.ini\b)",
        ),
    )
    .at(Parts::ALL)
    .needs(b".", b"/\\").words(&[".."]),
    rule(
        "traversal.system-file",
        0.94,
        Check::Pattern(
            r"^[^\s<>]*?(?:^[/\\]{2}[\w:.-]+[/\\][a-z]\$[/\\]|(?:^|[/\\:=.;])etc[/\\]+(?:passwd|shadow|group|hosts|issue|motd|fstab|crontab|hostname|resolv\.conf|sudoers|ssh[/\\]|apache2?[/\\]|httpd[/\\]|nginx[/\\]|mysql[/\\]|php\d?[/\\.]|security[/\\]|init\.d[/\\]|passwd-|master\.passwd|mtab|networks|profile|shells|services|release|\w+-release|my\.cnf|vsftpd|proftpd|ftp\w*|samba|redhat|debian|cron\.\w+|syslog|logrotate|exports|inetd|ldap|pam\.d|at\.\w+|bash\w*|csh|default|environment|group-|gshadow|lilo|modules|pure-ftpd|snort|wu-ftpd|\w+\.conf)|(?:^|[/\\])proc[/\\]+(?:self|version|cmdline|cpuinfo|meminfo|mounts|net|sched_debug|\d+|stat|filesystems|interrupts|ioports|modules|partitions|swaps)|(?:^|[/\\:])boot\.ini|(?:^|[/\\:])win(?:dows|nt)?[/\\]+(?:system32|win\.ini|system\.ini|repair|php\.ini|my\.ini|debug|panther|system)|(?:^|[/\\])var[/\\]+(?:log|run|mail|spool|lib[/\\]mysql|www)[/\\]|(?:^|[/\\])(?:wp-config\.php|global\.asa|ntuser\.dat|\.ht(?:access|passwd)|\.bash_history|\.ssh[/\\]|id_rsa|web-inf[/\\]+(?:web\.xml|classes)|meta-inf[/\\]|\.git[/\\]+(?:config|head|index)|\.env\b|\.aws[/\\]credentials|\.svn[/\\]entries)|(?:^|[/\\])usr[/\\]+local[/\\]+(?:apache|etc|php|nginx|pgsql)|(?:^|[/\\])(?:root|home[/\\]+[\w$]+)[/\\]+\.\w+|[a-z]:[\w/\\]*\bglobal\.asa|[a-z]:[/\\]{0,2}inetpub|[a-z]:[/\\]+(?:boot\.ini|windows[/\\]|winnt[/\\]|inetpub[/\\]|xampp[/\\]|apache|program\s?files|php|mysql|users[/\\]+administrator|sysprep|unattend))",
        ),
    )
    .at(Parts::PARAMS)
    .needs(b"/\\.:", b"eEiIoOrR").words(&["etc", "proc", "boot.ini", "win", "var", "wp-config", "global.asa", "ntuser.dat", ".ht", ".bash_history", ".ssh", "id_rsa", "-inf", ".git", ".env", ".aws", ".svn", "usr", "root", "home", ":/", ":\\", ":inetpub", "$"]),
    rule(
        "traversal.system-file-path",
        0.93,
        Check::Pattern(
            r"[/\\]etc[/\\]+(?:passwd|shadow|group|hosts|issue)\b|^/?\\\\[\w:.-]+\\[a-z]\$\\|[/\\]proc[/\\]self[/\\]|[/\\]boot\.ini|[/\\]win(?:dows|nt)[/\\]+(?:system32|win\.ini)|[/\\]\.git[/\\](?:config|head)\b|[/\\]\.env(?:$|\.(?:local|prod\w*|dev\w*|bak))|[/\\]\.ht(?:access|passwd)|[/\\]wp-config\.php(?:\.|~|$)|[/\\]web-inf[/\\]|[/\\]\.aws[/\\]credentials|[/\\]\.ssh[/\\]|[/\\]id_rsa",
        ),
    )
    .at(Parts::PATH)
    .needs(b"/\\", b"eEiIoO").words(&["etc", "proc", "boot.ini", "win", ".git", ".env", ".ht", "wp-config", "web-inf", ".aws", ".ssh", "id_rsa", "$\\"]),
    rule("traversal.file-mention", 0.4, Check::Pattern(r"/etc/(?:passwd|shadow)\b|\bboot\.ini\b|\bwin\.ini\b"))
        .at(Parts::ALL)
        .words(&["/etc/", "boot.ini", "win.ini"]),
    rule(
        "traversal.stream-wrapper",
        0.93,
        Check::Pattern(
            r"(?:^|[=\s'/])(?:php://(?:filter|input|fd|memory|temp)|phar://|expect://|zip://[^\s]+#|compress\.(?:zlib|bzip2)://|glob:///|ogg://|rar://|ssh2\.\w+://|data:(?:text/plain|//text/plain)[;,]|file:(?:[a-z]:|[/\\]{1,3}[^\s]*(?:etc|proc|windows|boot|c:|var|home|root|passwd)))",
        ),
    )
    .at(Parts::PARAMS)
    .needs(b":", b"/")
    .words(&["://", "data:", "file:"]),
    rule("traversal.null-cut", 0.88, Check::Pattern(r"(?:passwd|\.\w{2,5}|[/\\]\w+)\x00(?:\.?\w{2,5})?$"))
        .on(Views::DEEP)
        .at(Parts::INPUT)
        .needs(b"\0", b"./\\"),
];
