//! Operating system commands, and code that runs them.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::decode::Views;
use crate::inspect::values::Parts;

const fn pattern(id: &'static str, confidence: f64, pattern: &'static str) -> Rule {
    Rule::new(id, Class::CommandInjection, confidence, Check::Pattern(pattern))
        .on(Views::DEEP.and(Views::SHELL))
}

pub(super) const RULES: &[Rule] = &[
    // Names that are no words of any language: what follows hardly matters.
    pattern(
        "command.chained-tool",
        0.94,
        r"(?:^\s*(?:[;|&`]{1,2}|[\r\n])|[\w'\x22)}\s%.*]\s*(?:;|\|\|?|&&?|\n|\r)|\$\(|(?:^|[^`])`|[<>]\()[\s({!@$'\x22]*(?:[/\w.*?-]*/)?(?:(?:sudo|nohup|exec|busybox|env|setsid|nice(?:\s+-n\s*\d+)?|timeout\s+\d+)\s+)?(?:whoami|ifconfig|ipconfig|netstat|uname|wget|curl|nslookup|netcat|ncat|systeminfo|tasklist|traceroute|tracert|chmod|chown|phpinfo|printenv|powershell|cmd(?:\.exe)?\s*/c|certutil|bitsadmin|regsvr32|rundll32|mshta|cscript|wscript|python[23]?\s|perl\s+-|ruby\s+-|php\s+-|lua\s+-|gcc\s|bash\s+-|sh\s+-|zsh\s+-|nc\s+-|nc\.exe|ping\s+(?:-\w\s+)?[\w.]+|telnet\s+[\w.]+\s+\d|base64\s+-|xxd\b|tcpdump\b|crontab\b|useradd\b|adduser\b|mkfifo\b|lsof\b|lsb_release|dmesg\b|iptables\b|apt-get\b|yum\s+install|systemctl\b|schtasks\b|wmic\b|icacls\b|attrib\s+[+-]|net\s+(?:user|localgroup|view|share)|ver\s*(?:$|[&|])|dir\s+(?:[a-z]:|\\|/|%|\.)|type\s+(?:[a-z]:|\\|%)|set\s*(?:$|[&|])|vol\s*$|getent\b|hostnamectl|mknod\b|socat\b|tftp\b|scp\s|rsync\s)(?:[^\w=]|\w+|$)",
    )
    .at(Parts::INPUT.and(Parts::COOKIE).and(Parts::HEADER))
    .needs(b";|&`\n\r$<>", b"aeioucpmn"),
    // Names that are English words too: an argument of a shell must follow, or nothing at all.
    pattern(
        "command.chained-word",
        0.93,
        r#"(?:^\s*(?:[;|&`]{1,2}|[\r\n])|[\w'"\)}\s%.*]\s*(?:;|\|\|?|&&?|\n|\r)|\$\(|(?:^|[^`])`|[<>]\()[\s({!@]*(?:/?(?:usr/)?(?:local/)?s?bin/)?(?:cat|ls|id|ps|echo|sleep|head|tail|more|less|grep|find|touch|rm|mv|cp|kill|sort|awk|sed|tac|who|df|du|env|pwd|date|host|dig|cd|ping|expr|printf|read|tee|vi|strings|diff|file|finger|last|reboot|shutdown|bash|sh|zsh|dir|type|mail|man|arp|route|xargs|source|hostname|export|nc|timeout|perl|python|ruby|php)(?:\s+(?:-{1,2}\w|/\w|\.\.?/|~/|\$[\w({]|[<>|]\s*\S|['"]?/\w|\d+\s*(?:$|[;|`)#])|\w[\w.*-]*/[\w*]|\*|[a-z]:\\|%\w+%)|[<>]\s*/\w|\$\(|\{IFS)"#,
    )
    .at(Parts::INPUT.and(Parts::COOKIE).and(Parts::HEADER).and(Parts::REFERER))
    .needs(b";|&`\n\r$<>", b" \t\n<>$"),
    // No argument: only where the separator opens the value, or a shell would never be in doubt.
    pattern(
        "command.chained-bare",
        0.93,
        r#"^[\s'"\x00]*(?:[;|&`]{1,2}|[\r\n])\s*(?:/?(?:usr/)?s?bin/)?(?:id|ls|ps|pwd|env|dir|df|w|who|set|ver|cat|date|reboot|shutdown|sh|bash)\s*(?:$|[;|&`#\r\n\x00])|\w\s*(?:&&|\|\||;;)\s*(?:id|ls|ps|pwd|env|dir|df)\s*(?:$|[;|&`#])|\$\(\s*(?:id|ls|ps|pwd|env|dir|df|who|w|date|hostname)\s*\)|`\s*(?:id|ls|ps|pwd|env|dir|df|hostname)\s*`"#,
    )
    .at(Parts::PARAMS.and(Parts::SENT))
    .needs(b";|&`\n\r$", b"isdwpcevbrhIDLWPS"),
    pattern("command.chained-short", 0.5, r"\w\s*[;|&]\s*(?:id|ls|ps|pwd|env|dir|df)\s*(?:$|[;|&`#])")
        .at(Parts::PARAMS)
        .needs(b";|&", b"isdpeIDLP"),
    pattern(
        "command.echo-probe",
        0.94,
        r#"(?:[;|&`\n]|\$\(|^\s*)\s*echo\b[\s"'(\\]*(?:\w+\$\(|\w+[`]|\$\(\(|[\w"'\\]*%[^%]+%|[^;|&\n]*(?:>{1,2}\s*[\w./\\:-]+|\|\s*\w+))|\$\(\(\s*\d+\s*[-+*/%]\s*\d+\s*\)\)|\bset\s+/a\s+"?\(?\d+|for\s+/f\s+[^)]*\bin\s*\("#,
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .words(&["echo", "$((", "set", "for"]),
    pattern(
        "command.shell-path",
        0.94,
        r"(?:^|[\s;|&`('\x22=<>!,:@{])(?:/usr)?(?:/local)?/s?bin/(?:(?:ba|da|z|k|c|tc)?sh|cat|ls|id|nc|ping|wget|curl|uname|whoami|python\d?|perl|php|echo|ps|sleep|env|head|tail|more|less|tee|chmod|rm|cp|mv|ifconfig|netstat|bash)\b|/dev/(?:tcp|udp)/|\bcmd(?:\.exe)?\s*(?:/c|/k|\x22?\s*/c)\b|(?:system32|winnt)[/\\]+cmd\.exe|\bpowershell(?:\.exe)?\s+(?:\S+\s+){0,3}-(?:e|ec|enc\w*|nop\w*|w|c|command|ep|exec\w*)\b|\b(?:ba|z|k|c)?sh\s+-[ic]\b\s*\S|\bnc\s+-\w*[elp]\w*\s|\bwget\s+(?:-\w+\s+\S*\s*)*(?:https?|ftp)://|\bcurl\s+(?:-\w+\s+\S*\s*)*(?:https?|ftp)://\S+\s*(?:[|;>&]|-o)",
    )
    .at(Parts::PARAMS.and(Parts::SENT))
    .words(&["/bin/", "/sbin/", "/dev/", "cmd", "powershell", "sh", "nc", "wget", "curl"]),
    pattern(
        "command.expansion",
        0.88,
        r"\$\{?IFS\b|\$\(\s*(?:cat|ls|id|echo|sleep|ping|curl|wget|uname|whoami|pwd|nslookup|dig|host|printf|rev|sh|bash|touch|rm|head|tail|env|ps|kill|expr|bc|date|awk|sed|tr|nc)\b|`\s*(?:cat|id|uname|whoami|sleep|ping|curl|wget|nslookup|ls|pwd)\b(?:[^`]*)`\s*(?:$|[^\s\w.,])|\{(?:cat|ls|ping|curl|wget|echo|nc|sleep|id|ip|ifconfig),[^}\s]*\}|\$\{(?:path|home|pwd|hostname):\d|\$0\b.{0,3}<<<|<<<\s*\$",
    )
    .on(Views::DEEP)
    .at(Parts::INPUT.and(Parts::SENT))
    .needs(b"$`{<", b"aeiouIc0"),
    pattern("command.shellshock", 0.97, r"\(\s*\)\s*\{\s*(?::|_|\w+)?\s*;?\s*\}?\s*(?:>_\[|;)")
        .on(Views::DEEP)
        .at(Parts::ALL)
        .needs(b"(", b"{"),
    pattern(
        "command.code-call",
        0.88,
        r#"\b(?:system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec|assert|call_user_func(?:_array)?|create_function|file_get_contents|readfile|file_put_contents|include|require(?:_once)?|phpinfo|md5|base64_decode|os\.system|os\.popen|subprocess\.\w+|runtime\.getruntime\(\)\.exec|getruntime\(\)|child_process|__import__)\s*\(\s*(?:['"$\d]|base64_decode|chr\(|\)\s*(?:;|$|\.)|_(?:get|post|request))|<\?(?:php|=)\s|<\?\s*(?:system|echo|eval|exec|passthru)|<%[=@]?\s*(?:runtime|eval|exec|system|response\.write|page\s)|\$\{\s*@?\s*(?:print|phpinfo|phpversion|sleep|system|eval|exec|md5)\s*\(|[:;]\s*phpversion\s*\(\s*\)|\$_(?:get|post|request|cookie)\s*\[|\b(?:java\.lang\.)?processbuilder\b|\bjava\.lang\.runtime\b|\bgetruntime\s*\(|process\.mainmodule"#,
    )
    .on(Views::DEEP)
    .at(Parts::PARAMS)
    .needs(b"(<$.b", b"aeiou?%_")
    .words(&[
        "system", "passthru", "exec", "popen", "proc_open", "assert", "call_user_func", "create_function", "file_",
        "readfile", "include", "require", "phpinfo", "md5", "base64_decode", "subprocess", "getruntime", "child_process",
        "__import__", "<?", "<%", "$_", "${", "phpversion", "processbuilder", "java.lang", "mainmodule",
    ]),
    pattern(
        "command.bare-tool",
        0.86,
        r"^\s*[\x22']?(?:ping\s+-[cni]\s*\d+\s+[\w.:]+|ping\s+(?:\d{1,3}\.){3}\d{1,3}|nslookup\s+[\w.-]+\s*$|netstat\s+-\w+|ifconfig\s*(?:-a)?\s*$|uname\s+-\w+\s*$|cat\s+/(?:etc|proc|var)/\S+|ls\s+-\w+\s+/\S*|wget\s+(?:https?|ftp)://\S+|curl\s+(?:-\w+\s+)*https?://\S+\s*[|>]|rm\s+-rf?\s+[/~*.]\S*|net\s+user\b|dir\s+[a-z]:\\|type\s+[a-z]:\\\S+|whoami\s*$|ps\s+-?aux|perl\s+-e\s|python\d?\s+-c\s|php\s+-r\s|ruby\s+-e)",
    )
    .at(Parts::PARAMS)
    .needs(b" \t-", b"/-:.aA"),
];
