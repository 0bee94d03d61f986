//! What other interpreters than SQL, HTML and the shell would run: templates, XML, document stores,
//! directories, serialised objects, scripts on the server.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::decode::Views;
use crate::inspect::values::Parts;

const fn pattern(id: &'static str, class: Class, confidence: f64, pattern: &'static str) -> Rule {
    Rule::new(id, class, confidence, Check::Pattern(pattern)).at(Parts::PARAMS)
}

/// Where a stored object travels: parameters, cookies, headers of applications, and bodies.
const CARRIERS: Parts = Parts::INPUT.and(Parts::COOKIE).and(Parts::HEADER).and(Parts::FILE);

pub(super) const RULES: &[Rule] = &[
    pattern(
        "template.expression",
        Class::TemplateInjection,
        0.86,
        r"\{\{[^{}]*?(?:\bself\b|^\s*request\s*\}|\brequest\s*[|}]|\bconfig\b|\bdump\s*\(|_self\b|\.mro\b|__\w+__|\|\s*(?:attr|filter|map|sort|reduce)\s*\(|\bgetclass\b|\bforname\b|subclasses|\blipsum\b|\bcycler\b|\bjoiner\b|\bnamespace\b|\bget_flashed|\bapp\.request|\.touppercase\s*\(|\bget_user_file|\bsource\s*\()|\{%\s*(?:for|if|set|import|include|with|extends|debug)\b[^%]*?(?:config|self|\brequest\b|__|\bos\b|popen|debug)|\{\$smarty\b|\{/?php\}|\{system\s*\(|\{literal\}",
    )
    .needs(b"{", b"}")
    .at(Parts::INPUT),
    pattern(
        "template.arithmetic",
        Class::TemplateInjection,
        0.87,
        r#"(?:\{\{|\$\{|\$\{\{|#\{|<%=?|@\(|\*\{|\[\[|~\{|@\{|%\{)\s*['"]?\d{1,10}['"]?\s*[*+/-]\s*['"]?\d{1,10}['"]?\s*(?:\}|%>|\)|\]\])|(?:^|[^\w$#*@%~{])\{\s*\d{1,10}\s*\*\s*\d{1,10}\s*\}"#,
    )
    .needs(b"{(%[", b"*+-/")
    .at(Parts::INPUT),
    pattern(
        "template.class-reach",
        Class::TemplateInjection,
        0.94,
        r"freemarker\.template|\?new\(\)|\bt\s*\(\s*java\.|<#assign\b|\[#assign\b|#set\s*\(\s*\$\w+\s*=|javax\.script|__(?:class|mro|subclasses|globals|builtins|import)__|#_memberaccess|@java\.lang|[$%#]\{\s*\(?\s*(?:#\w+\s*[=.]|@[\w.]+@)|\$\{\s*(?:pagecontext|applicationscope|facescontext|request\.get|session\.get)\b",
    )
    .at(Parts::ALL)
    .words(&["freemarker", "?new()", "java", "#assign", "#set", "__", "memberaccess", "${", "%{", "#{"]),
    pattern(
        "template.server-tag",
        Class::TemplateInjection,
        0.88,
        r"<%=?\s*(?:system|file\b|dir\b|io\.|exec|open|global\b|process|require|`|\w+\.(?:open|read|new|popen)\b)|<!--#\s*(?:exec|include|echo|config|printenv|set)\b|#\{\s*(?:system|exec|file|io|global|process|root)\b",
    )
    .at(Parts::INPUT)
    .words(&["<%", "<!--", "#{"]),
    pattern(
        "xxe.external-entity",
        Class::Xxe,
        0.95,
        r#"<!entity\s+(?:%\s*|&#\w+;\s*)?[\w.:-]+\s+(?:system|public)\b|<!doctype\s+[\w:-]+\s+(?:system|public\s*['"][^'"]*['"])\s*['"](?:file|ftp|expect|php|gopher|jar|netdoc):|<!doctype\s+[\w:-]+\s+system\s*['"]https?:"#,
    )
    .at(Parts::INPUT.and(Parts::FILE))
    .needs(b"<", b"!")
    .words(&["<!entity", "<!doctype"]),
    pattern("xxe.odd-charset", Class::Xxe, 0.88, r#"<\?xml\s[^>]*encoding\s*=\s*['"](?:utf-7|utf-32|ucs-4|ebcdic\S*|cp037|ibm\d+)['"]"#)
        .at(Parts::INPUT)
        .words(&["<?xml"]),
    pattern("xxe.declared-entity", Class::Xxe, 0.85, r"<!doctype\s[^>\[]*\[.*?<!entity\s")
        .at(Parts::INPUT)
        .needs(b"<", b"!")
        .words(&["<!entity"]),
    pattern(
        "xxe.include",
        Class::Xxe,
        0.93,
        r#"<\w+:include\b[^>]*href|www\.w3\.org/2001/xinclude|<\?xml-stylesheet[^>]*href\s*=\s*['"](?:file|https?):"#,
    )
    .at(Parts::INPUT)
    .words(&[":include", "xinclude", "xml-stylesheet"]),
    // Some honest interfaces take these operators: sure enough to refuse, never to ban.
    pattern(
        "nosql.operator",
        Class::NosqlInjection,
        0.86,
        r#"\[\$(?:ne|eq|gte?|lte?|n?in|regex|where|exists|n?or|and|not|elemmatch|all|size|type|mod|expr|comment)\]|^\s*\$(?:ne|gte?|lte?|nin|regex|where|exists|elemmatch|nor|expr|function|accumulator)$|["'{,\s]\s*\$(?:ne|gte?|lte?|nin|regex|where|exists|elemmatch|nor|expr|comment)['"]?\s*:|^\s*\$where['"]?\s*:|["'{]\s*\$(?:or|and|in|not|all|function)['"]?\s*:\s*[\[{'"]|["',]\s*\$(?:or|and)\s*:\s*\[|\{\s*["']?&(?:exists|ne|gt)["']?\s*:"#,
    )
    .at(Parts::PARAMS.and(Parts::PATH).and(Parts::COOKIE))
    .needs(b"$&", b"eEtTnNrR")
    .words(&[
        "$ne", "$eq", "$g", "$l", "$n", "$in", "$re", "$w", "$ex", "$or", "$and", "$elem", "$all", "$si", "$ty",
        "$mod", "$com", "$f", "$acc", "&exists", "&ne", "&gt",
    ]),
    pattern(
        "nosql.script",
        Class::NosqlInjection,
        0.89,
        r#"\bthis\.\w+\s*\.\s*match\s*\(|['"]\s*(?:\|\||&&)\s*this\.|(?:^|['"\d)])\s*;\s*return\s*\(?\s*(?:true|false|\d|this\b|['"])|\bdb\.\w+\.(?:insert|find|drop|remove|update|mapreduce|save|count|aggregate)\w*\s*\(|^\s*['"]?\s*(?:\|\||&&)\s*['"]?\w*['"]?\s*={2,3}|['"]\s*(?:\|\||&&)\s*['"]?\w*['"]?\s*={2,3}|\bemit\s*\(\s*\w+\s*,|['"]\s*\}\s*[,;)]\s*\$?(?:function|db\.|return|sleep)|\bthis\.\w+\s*[=!]==?\s*['"\w]|^[/\d'"\s]*;\s*var\s+\w+\s*=|\}\s*while\s*\(\s*\w+\s*[-<>(]"#,
    )
    .at(Parts::PARAMS.and(Parts::PATH).and(Parts::COOKIE))
    .needs(b"'\".;|&}", b"(=;")
    .words(&["this.", "return", "db.", "==", "emit", "function", "sleep", "var", "while"]),
    pattern(
        "ldap.filter",
        Class::LdapInjection,
        0.93,
        r"\(\s*[|&!]\s*\(\s*[\w.:-]{1,40}\s*[~<>]?=|\)\s*\(\s*[|&!]?\s*\(?\s*(?:uid|cn|sn|mail|dn|ou|objectclass|userpassword|password|samaccountname|member(?:of)?|user|homedirectory|loginshell|givenname|description|telephonenumber|department)\s*[~<>]?=|^[\w-]{1,40}:(?:dn:)?(?:\d+\.){2,}\d+:=|\(\s*(?:objectclass|userpassword|samaccountname)\s*[~<>]?=",
    )
    .at(Parts::PARAMS.and(Parts::COOKIE).and(Parts::HEADER))
    .needs(b"(:", b"="),
    pattern(
        "ldap.break",
        Class::LdapInjection,
        0.85,
        r"(?:^|[^.\])*\\])\*\s*\)\s*(?:\)|\(\s*[|&!(\w])|\*\s*\(\)\s*\||\*\(\s*[|&]\s*\(|\)\)\s*\x00|^[\w@.*-]{0,40}\)\s*\(\s*[|&!]|^[\w@.*-]{0,40}\)\(\w{1,30}=",
    )
    .at(Parts::PARAMS.and(Parts::COOKIE).and(Parts::HEADER))
    .needs(b"(", b"*&|!\0="),
    pattern(
        "pollution.prototype",
        Class::PrototypePollution,
        0.93,
        r#"__proto__|\bconstructor\s*(?:\]\s*\[|\.|\[)\s*['"]?prototype"#,
    )
    .at(Parts::PARAMS.and(Parts::COOKIE))
    .words(&["__proto__", "constructor"]),
    pattern(
        "object.serialised",
        Class::Deserialization,
        0.94,
        r#"(?:^|[\s"'=:,])rO0AB[\w+/-]{4,}|\xac\xed\x00\x05|(?:^|[\s"'=:,])AAEAAAD/{4}|(?:^|[;{:\s"'])[oc]:\d{1,4}:"[\w\\]+":\d{1,5}:\{|!!python/(?:object|name|module)|!!javax?\.|!ruby/(?:object|hash)|_\$\$nd_func\$\$_|\$type["']?\s*:\s*["'](?:system|microsoft)\.|"@type"\s*:\s*"(?:com\.sun|java|org\.apache|\[?lcom\.)|\bc(?:os|posix|nt|subprocess|builtins|__builtin__)\n\w+\n"#,
    )
    .on(Views::BASE.and(Views::DEEP))
    .at(CARRIERS)
    .needs(b"r\xac/:!$@\n", b"0\xeda:/.$_\n"),
    // Python's pickles, Ruby's marshalled objects, and Java's in hexadecimal.
    pattern(
        "object.serialised-other",
        Class::Deserialization,
        0.88,
        r"^(?:(?-i:gA(?:[JNR][9cdjo]|SV|WV)|BAh[vjV])[\w+/-]{6,}={0,2}|aced0005[0-9a-f]{4,})$|^\x04\x08[ouc]:|^\x80[\x02-\x05][}\]c(\x95].{0,80}(?:\x8c|c__builtin__|cos\n|cposix\n)",
    )
    .on(Views::BASE.and(Views::DEEP))
    .at(Parts::PARAMS.and(Parts::COOKIE).and(Parts::HEADER).and(Parts::FILE))
    .needs(b"ga\x04\x80b", b"ah\x08\x02\x03\x04\x05"),
    // What readers of XML and YAML build objects from, in Java, .NET, Python and Ruby.
    pattern(
        "object.built-by-reader",
        Class::Deserialization,
        0.88,
        r"<(?:java\.util\.priorityqueue|dynamic-proxy|sorted-set>\s*<|tree-map>\s*<|java\.beans\.eventhandler|javax\.imageio|jdk\.nashorn)|<java\b[^>]*\bjava\.beans\.xmldecoder|<objectdataprovider\b|\bsystem\.(?:windows\.data\.objectdataprovider|configuration\.install\.assemblyinstaller|web\.ui\.losformatter)|!!(?:python/object/(?:apply|new)|org\.yaml|com\.sun|javax\.script)|!ruby/(?:object|struct|exception|array|hash|marshalable)\b",
    )
    .at(CARRIERS)
    .words(&[
        "priorityqueue", "dynamic-proxy", "<sorted-set", "<tree-map", "eventhandler", "javax.", "nashorn", "xmldecoder",
        "objectdataprovider", "assemblyinstaller", "losformatter", "!!python/", "!!org.yaml", "!!com.sun", "!ruby/",
    ]),
    pattern(
        "object.gadget",
        Class::Deserialization,
        0.94,
        r"com\.sun\.(?:rowset|org\.apache\.xalan)|\btemplatesimpl\b|commons\.collections\d?\.functors|\bysoserial\b|\$\$bcel\$\$|objectdataprovider|org\.springframework\.context\.support|groovy\.runtime\.methodclosure|jdbcrowsetimpl",
    )
    .at(CARRIERS)
    .words(&[
        "com.sun.", "templatesimpl", "commons.collections", "ysoserial", "$$bcel$$", "objectdataprovider",
        "springframework.context.support", "methodclosure", "jdbcrowsetimpl",
    ]),
    pattern(
        "code.server-script",
        Class::CodeInjection,
        0.93,
        r#"\brequire\s*\(\s*['"](?:child_process|fs|net|os|http|vm|cluster)['"]|\bprocess\s*\.\s*(?:binding|mainmodule|dlopen)\b|\bglobal\s*\.\s*process\b|\bclass\.module\.classloader|\bjava\.lang\.(?:runtime|processbuilder|class|system)\b|\.getclass\s*\(\s*\)\s*\.|\bclass\.forname\s*\(|\bprocessbuilder\s*\(|\b(?:assert|eval|preg_replace|call_user_func|array_map|usort|create_function)\s*\(\s*(?:\$_(?:get|post|request|cookie|server)|base64_decode|gzinflate|str_rot13|hex2bin)|\$\{\s*@?(?:print|eval|system|exec|phpinfo)\s*\(|\ballow_url_include\b|\bauto_prepend_file\b|\bsuhosin\.simulation\b|\bdisable_functions\s*="#,
    )
    .at(Parts::INPUT.and(Parts::COOKIE).and(Parts::HEADER))
    .words(&[
        "require", "process", "classloader", "java.lang", "getclass", "forname", "assert", "eval", "preg_replace",
        "call_user_func", "array_map", "usort", "create_function", "${", "allow_url_include", "auto_prepend_file",
        "suhosin", "disable_functions",
    ]),
];
