//! SQL injection: statements, conditions and functions that no honest value holds.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::decode::Views;
use crate::inspect::values::Parts;

const fn pattern(id: &'static str, confidence: f64, pattern: &'static str) -> Rule {
    Rule::new(id, Class::Sqli, confidence, Check::Pattern(pattern)).on(Views::DEEP.and(Views::SQL))
}

pub(super) const RULES: &[Rule] = &[
    pattern(
        "sqli.union-select",
        0.96,
        r#"(?:\b|\d[de]?|\\n)union\b[\s(+]*(?:(?:all|distinct)\b[\s(+]*)?select\b[\s(+]*(?:[\d'"@*`~!-]|null\b|all\b|distinct\b|concat|group_concat|char|chr|cast|convert|hex|unhex|if\b|load_file|version|user|database|\w+\s*[,(]|\w+\s*(?:--|#)|[\w.]+\s+from\b)|['"`)\d]\s*union\b[\s(+]*(?:(?:all|distinct)\b[\s(+]*)?select\b[\s(+]*\w+\s*$"#,
    )
    .at(Parts::ALL)
    .words(&["union"]),
    pattern(
        "sqli.quoted-condition",
        0.95,
        r#"['"`]\s*\)*\s*(?:(?:or|and|xor|having|where)(?:[\s(+!~-]|['"]|\d)|\|\||&&)\s*(?:not\s+|!\s*)?[\s(]*(?:(?:'[^'"]*'|"[^'"]*"|['"]?[\w@.-]+(?:\([^()]*\))?['"]?)\s*\)*\s*(?:=|<=>|<>|!=|>|<)\s*[\s(]*['"]?[\w@.-]|['"]?\w+['"]?\s+(?:r?like|regexp|between|in|is)\b\s*[('"\dn]|\d+\s*\)*\s*(?:--|#|$|/\*)|true\s*(?:$|--|#)|false\s*(?:$|--|#))|^[^'"]*['"]\s*\)*\s*(?:or|\|\||&&|xor)\s*\(*\s*['"](?:[^'")][^'"]*)?['"]?\s*$|^[^'"]*['"]\s*\)*\s*(?:and)\s*\(*\s*['"]\d+['"]?\s*$"#,
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .needs(b"'\"`", b"=<>|&-#/'\"ln(1e"),
    pattern(
        "sqli.number-condition",
        0.94,
        r#"^\W*-?\d*[\w%]{0,12}\W{0,3}\s*[\s)+]\s*(?:and|or|xor|\|\||&&)[\s(+]+(?:not\s+)?['"]?-?\w{1,10}['"]?\s*(?:=|<=>|<>|!=|>|<|\br?like\b)\s*['"(]*-?\w{1,12}['"]?[\s)]*(?:$|--|#|/\*|;|\b(?:and|or|order|group|limit|union)\b)"#,
    )
    .at(Parts::PARAMS.and(Parts::SENT).and(Parts::SEGMENT))
    .needs(b" \t\n\r\x0b\x0c)+", b"=<>lL"),
    pattern(
        "sqli.time-delay",
        0.96,
        r#"(?:^|[\s'"(;,=|&+)\d!/*-])(?:(?:sleep|pg_sleep)\s*\(\s*['"(]?\s*-?[\d.]+|sleep\s*\(\s*\(|benchmark\s*\(\s*\d+\s*,|waitfor\s+(?:delay|time)\s*['"(@]|dbms_pipe\s*\.\s*receive_message\s*\(|dbms_lock\s*\.\s*sleep|pg_sleep\s*\(|(?:like|randomblob)\s*\([\w'"]+.*?randomblob\s*\(|regexp_substring\s*\(\s*repeat|generate_series\s*\(\s*1\s*,\s*\d{5})"#,
    )
    .at(Parts::ALL)
    .words(&["sleep", "benchmark", "waitfor", "dbms_", "randomblob", "regexp_substring", "generate_series"]),
    pattern(
        "sqli.schema-probe",
        0.94,
        r"\b(?:from|into|join|table|exists)\b[\s(`]*(?:information_schema|mysql|master\.+\w*|msysobjects|msysaccessobjects|pg_catalog|pg_\w+|sqlite_master|sqlite_temp_master|sysobjects|syscolumns|sysusers|sysibm\.\w+|sys\.\w+|all_tables|all_users|all_objects|user_tables|user_tab_columns|all_tab_columns|dual|rdb\$\w+|domain\.\w+|systables|systypes)\b",
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .words(&["from", "into", "join", "table", "exists"]),
    pattern(
        "sqli.stacked",
        0.95,
        r#"(?:^|['")\d\s%\w])\s*\)*\s*;\s*(?:drop\s+(?:table|database|user|schema|view|procedure|function|index)\b|alter\s+(?:table|database|user)\b|create\s+(?:table|user|database|procedure|function|or\s+replace|alias)\b|truncate\s+table\b|insert\s+into\s+\w|delete\s+from\s+\w|update\s+\w+\s+set\s|exec(?:ute)?[\s(]+(?:immediate\b|master|xp_|sp_|\(|@)|declare\s+@|shutdown\s*(?:--|;|with\b|$)|select\s+(?:[*'"\d@(]|[\w.]+\s*\(|case\b|[\w.,\s*]+?\bfrom\b|pg_|if\b)|(?:if|begin)\s*\(|call\s+\w+\s*\(|set\s+@|copy\s+\w+\s*(?:\([\w,\s]*\)\s*)?(?:from|to)\s|grant\s+[\w\s,]+\bto\b|waitfor\b|begin\b.*\bend\b)"#,
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .needs(b";", b"eEaAlLiIhH"),
    pattern(
        "sqli.file-access",
        0.95,
        r#"\binto\s+(?:out|dump)file\s*['"(@]|\bload_file\s*\(|\bload\s+data\s+(?:local\s+)?infile\b|\butl_file\s*\.|\bopenrowset\s*\(|\bpg_read_file\s*\(|\blo_import\s*\("#,
    )
    .at(Parts::ALL)
    .words(&["outfile", "dumpfile", "load_file", "infile", "utl_file", "openrowset", "pg_read_file", "lo_import"]),
    pattern(
        "sqli.error-channel",
        0.95,
        r#"\b(?:extractvalue\s*\(\s*[\w'"(]|updatexml\s*\(\s*[\w'"(]|(?:utl_inaddr\s*\.\s*get_host_(?:name|address)|utl_http\s*\.\s*request|ctxsys\s*\.\s*drithsx|xmltype\s*\(|dbms_xmlgen|dbms_utility\s*\.|dbms_java|dbms_ldap)|floor\s*\(\s*rand\s*\(|procedure\s+analyse\s*\(|gtid_subset\s*\(|json_keys\s*\(\s*\(|exp\s*\(\s*~|make_set\s*\(\s*-?\d|elt\s*\(\s*-?\d+\s*[=<>]|row\s*\(\s*\d+\s*,\s*\d+\s*\)\s*[<>=]|convert\s*\(\s*int\b|name_const\s*\(|rpad\s*\(.+,\s*\d{6})"#,
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .words(&[
        "extractvalue", "updatexml", "utl_", "ctxsys", "xmltype", "dbms_", "rand", "analyse", "gtid_subset",
        "json_keys", "exp", "make_set", "elt", "row", "convert", "name_const", "rpad",
    ]),
    pattern(
        "sqli.server-procedure",
        0.95,
        r"\b(?:xp_(?:cmdshell|dirtree|fileexist|regread|regwrite|subdirs|availablemedia|enumdsn|servicecontrol|loginconfig|makecab|ntsec_enumdomains|terminate_process)|sp_(?:executesql|oacreate|oamethod|makewebtask|addextendedproc|password|helpdb|configure|adduser|addlogin|addsrvrolemember)\b|exec(?:ute)?\s+(?:master|sp_|xp_|immediate\b))",
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .words(&["xp_", "sp_", "exec"]),
    pattern(
        "sqli.sort-probe",
        0.85,
        r#"^.{0,40}?(?:^|[\s'")\d%-])(?:order|group)\s+by\s+\(?\d+(?:\s*,\s*\d+)*\)?\s*(?:asc|desc)?\s*(?:--|#|/\*|;|$)|\bhaving\s+\(?['"]?(\d+)['"]?\s*=\s*['"]?\d+|^.{0,40}?['")]\s*(?:order|group)\s+by\s+\w+\s*(?:--|#|;|$)"#,
    )
    .at(Parts::PARAMS)
    .words(&["order", "group", "having"]),
    pattern(
        "sqli.subselect",
        0.94,
        r"(?:[=<>,(|+&!]|\b(?:in|exists|and|or|not|like|any|all|case|then|else|when|concat|values)\b)\s*\(+\s*select\b[\s(]*(?:(?:[\w.*@,'`|\s()+-]+?)\bfrom\b|case\b|@@|[\d']+\s*\)|(?:sleep|count|concat|char|chr|user|version|database|current_user|if|substr|substring|upper|group_concat|load_file)\s*\()",
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .needs(b"(", b"sS")
    .words(&["select"]),
    pattern(
        "sqli.function-condition",
        0.93,
        r#"(?:\b(?:and|or|xor|where|having|select|when|not|r?like|regexp)\b|\|\||&&|^[\d'")\s]*[-+*/=<>,;]\s*|['"]\s*[-+=,|&]{1,2}\s*)[\s(!~-]*(?:ascii|substr|substring|substrc|mid|ord|char_length|chr|nchar|length|ifnull|nvl|isnull|elt|make_set|extractvalue|updatexml|db_name|user_name|system_user|current_user|session_user|database|version|schema|unhex|hex|bin|greatest|least|coalesce|iif|row|conv|group_concat|concat_ws|charindex|sqlite_version|randomblob|upper|lower)\s*\(.*(?:\)|$)"#,
    )
    .at(Parts::PARAMS.and(Parts::SENT).and(Parts::SEGMENT))
    .needs(b"(", b"=<>'\"|&)-#aAoO"),
    pattern(
        "sqli.built-string",
        0.94,
        r"\b(?:n?char|chr)\s*\(\s*(?:\d+|0x[0-9a-f]+)\s*(?:\)\s*(?:\|\||\+|,|&|=|\))|,\s*(?:\d+|0x[0-9a-f]+)\s*[,)])|\bconcat(?:_ws)?\s*\(\s*(?:0x[0-9a-f]{2}|char\s*\(|user\s*\(|version\s*\(|database\s*\(|@@|\(\s*select)|=\s*0x[0-9a-f]{2,}\s*(?:--|#|and\b|or\b)|@@(?:version|datadir|hostname|basedir|servername|version_compile_os)\b",
    )
    .at(Parts::INPUT.and(Parts::SENT))
    .needs(b"(@0", b"0123456789@(")
    .words(&["char", "chr", "concat", "0x", "@@"]),
    pattern(
        "sqli.case-when",
        0.93,
        r"\bcase\b[\s(]*(?:[\w.']+\s+)?when\b.+?[=<>].*?\bthen\b.*?\b(?:else|end)\b|\bi?if\s*\(\s*\(*\s*(?:\d+\s*=\s*\d+|[\w.]+\s*\([^)]*\)\s*[=<>]|\(?\s*select\b)[^,]*,[^,]+,",
    )
    .at(Parts::PARAMS.and(Parts::SENT))
    .words(&["case", "if"]),
    pattern(
        "sqli.comment-cut",
        0.85,
        r#"^[\w@.+%-]{0,40}['"]\s*\)*\s*;?\s*(?:--(?:[\s+-]|$)|/\*)|^[\w@.+%-]{1,40}['"]\s*\)*\s*;?\s*#\s*$|^-?\d+\s*\)*\s*;?\s*(?:--\s*\w{0,8}\s*$|/\*.{0,40}$)|^\s*['"][\s'")]*;?\s*(?:--|/\*|;)|^\s*['"]\s*\)+\s*#"#,
    )
    .at(Parts::PARAMS)
    .needs(b"-#*;", b"'\")0123456789"),
    pattern(
        "sqli.statement",
        0.85,
        r#"^[\s(;]*(?:select\s+(?:\*|top\s+\d|count\s*\(|distinct\s+\w+\s*,?|[\w.]+\s*\(.*\)|@@\w+|[\w.`]+(?:\s*,\s*[\w.`*]+)+)\s*(?:as\s+\w+\s*)?(?:\bfrom\s+[\w.`"\[(]+\s*(?:$|where\b|limit\b|order\b|group\b|join\b|union\b|;|,|--|as\b|\w+\s*$|having\b|procedure\b)|$)|insert\s+into\s+[\w.`]+\s*[(\w,\s`]*\)?\s*(?:values\s*\(|select\b)|update\s+[\w.`]+\s+set\s+[\w.`]+\s*=|delete\s+from\s+[\w.`]+\s*(?:where\b|;|$|--)|drop\s+(?:table|database|view|user)\s+(?:if\s+exists\s+)?[\w.`]+\s*(?:;|$|--|cascade)|(?:create|alter)\s+(?:table|user|database|view|procedure)\s+[\w.`]+\s*(?:\(|as\b|add\b|identified\b|with\b)|exec(?:ute)?\s+\w*[sx]p_|declare\s+@|truncate\s+table\s+\w+\s*(?:;|$)|grant\s+.+\bto\b|backup\s+database\s|waitfor\s+delay\b)"#,
    )
    .at(Parts::PARAMS)
    .words(&["select", "insert", "update", "delete", "drop", "create", "alter", "exec", "declare", "truncate", "grant", "backup", "waitfor"]),
    pattern(
        "sqli.number-equation",
        0.86,
        r#"['"`)].*?\b(?:and|or)\s+\(*-?(?:\d{1,8}\s*=\s*\d{1,8}|'(\w{1,10})'\s*=\s*'\w{1,10})['")]*\s*(?:$|--|#|;|/\*|and\b|or\b)|\bwhere\s+(\d{1,6})\s*=\s*\d{1,6}|^\s*(?:\d+\s*(?:\|\||&&)\s*|(?:or|and|\|\||&&)\s+)['"]?\w{1,10}['"]?\s*=\s*['"]?\w{1,10}['"]?\s*(?:--|#|\W{0,3}$)"#,
    )
    .at(Parts::PARAMS)
    .needs(b"=", b"0123456789'\"xX")
    .words(&["and", "or", "where", "&&", "||"]),
    pattern(
        "sqli.select-prose",
        0.3,
        r"\bselect\b[^;]*?\bfrom\b",
    )
    .at(Parts::PARAMS)
    .words(&["select"]),
    Rule::new("sqli.grammar", Class::Sqli, 0.87, Check::Sql)
        .on(Views::DEEP)
        .at(Parts::PARAMS.and(Parts::COOKIE).and(Parts::SEGMENT))
        .needs(b"'\"`;#-*=<>|&(", b"'\"`( \t\n\r\x0b\x0c\0|*"),
];
