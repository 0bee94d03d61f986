//! Cross-site scripting: markup that runs, attributes that run, URLs that run.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::decode::Views;
use crate::inspect::values::Parts;

const fn pattern(id: &'static str, confidence: f64, pattern: &'static str) -> Rule {
    Rule::new(id, Class::Xss, confidence, Check::Pattern(pattern))
}

pub(super) const RULES: &[Rule] = &[
    pattern("xss.script-tag", 0.94, r"<[\s/\x00]*script(?:[\s/>\x00]|$)|<script\w*[^>]*?(?:src|>)")
        .at(Parts::ALL)
        .needs(b"<", b"sS")
        .words(&["script"]),
    pattern(
        "xss.event-handler",
        0.94,
        r#"<[a-z!/?%\x00][^<]*?[\s/'"\x00;`+]on[a-z]{3,}[\s\x00/]*=|<[a-z][\w:-]*[^\w<>]on[a-z]{3,}[\s\x00]*="#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::ALL)
    .needs(b"<", b"=")
    .words(&["on"]),
    pattern(
        "xss.attribute-break",
        0.93,
        r#"(?:^|['"`>])[^<>=]*?(?:^|[\s/'"`+;])on(?:error|load|loadstart|loadend|click|dblclick|focus|focusin|focusout|blur|mouse\w{2,8}|key(?:down|up|press)|pointer\w{2,12}|touch\w{3,6}|animation\w{3,10}|transition\w{3,10}|toggle|begin|end|repeat|submit|change|input|select|scroll\w*|wheel|drag\w*|drop|copy|cut|paste|search|show|resize|hashchange|pageshow|message|popstate|unload|beforeunload|afterprint|beforeprint|auxclick|contextmenu|cancel|canplay\w*|play\w*|ended|cuechange|start|finish|bounce|activate|readystatechange|propertychange|rowexit|invalid|reset|webkit\w+)\s*=\s*['"`]?\s*[\w(\[{+!~'"`/\\$-]"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::PARAMS)
    .needs(b"=", b"'\"`(")
    .words(&["on"]),
    pattern(
        "xss.script-url",
        0.93,
        r#"(?:^|[\s'"=(<>,;:`\x00-\x20])(?:java|vb|live)script\s*:\s*(?:[^v;\s#'"/)]|v[^o]|//|/\*|/[^'"]|['"])[^;]*?[(=`\[]"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::ALL)
    .needs(b":", b"(=`[")
    .words(&["javascript", "vbscript", "livescript"]),
    // A browser drops tabs and line ends inside a scheme.
    pattern(
        "xss.script-url-split",
        0.94,
        r#"(?:^|[\s'"=(<>,;:`])(?:j\s*a\s*v\s*a\s*|v\s*b\s*)s\s*c\s*r\s*i\s*p\s*t\s*:[^;]*?[(=`\[]"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::INPUT)
    .needs(b":", b"\t\n\r"),
    pattern(
        "xss.data-url",
        0.93,
        r#"(?:^|[\s'"=(,;])data:[\w/+.-]*(?:html|xml|javascript|svg)[^,]*,\s*(?:.*<\s*[a-z/!]|[a-z0-9+/=]{12}|alert)"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::INPUT)
    .needs(b":", b",")
    .words(&["data:"]),
    pattern(
        "xss.sink-call",
        0.88,
        r#"(?:^|['"`;}{)(=<>,+\-*/|&!~?:\s\[\x00])(?:(?:window|self|top|parent|this|document|frames|globalthis|defaultstatus)\s*[.\[(]+['"\s/]*)?(?:alert|confirm|prompt|eval|settimeout|setinterval|execscript|msgbox)['"\]\s/*?.]*(?:\(\s*(?:[\d'"`/]|document\b|window\b|location\b|string\b|this\b|name\b|atob\b|unescape\b|xss|\)|self\b|origin\b)|`|\.(?:call|apply|bind)\b)"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::INPUT)
    .words(&["alert", "confirm", "prompt", "eval", "settimeout", "setinterval", "execscript", "msgbox"]),
    pattern(
        "xss.sink-property",
        0.88,
        r#"\bdocument\s*(?:\.|\[\s*['"])\s*(?:cookie|write(?:ln)?\b|domain\b|location\s*[=.]|body\s*\.\s*(?:innerhtml|appendchild))|\bstring\s*\.\s*fromcharcode\s*\(|\bconstructor\s*(?:\.\s*constructor\s*)?\(\s*['"`]|\[\s*['"]constructor['"]\s*\]|(?:window|self|top|this|parent|frames)\s*\[\s*(?:['"/]|\d)|\blocation\s*(?:\.\s*href)?\s*=\s*(?:['"`]?(?:javascript|http|//)|name\b)|\bnew\s+function\s*[(`]|\bfunction\s*\(\s*\)\s*\{[^}]*\}\s*\(\s*\)|\.source\s*\+|\bimport\s*\(\s*['"]|\b(?:fetch|sendbeacon)\s*\(\s*['"`](?:https?:)?//"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::PARAMS)
    .words(&[
        "document", "fromcharcode", "constructor", "window", "self", "top", "this", "parent", "frames",
        "location", "function", ".source", "import", "fetch", "sendbeacon",
    ]),
    pattern(
        "xss.active-tag",
        0.86,
        r#"<(?:iframe|frame|embed|object|applet|isindex|portal|fencedframe)\b[^>]*?[\s/'"](?:src|srcdoc|data|code|codebase|action|type|href|sandbox)\s*=|<(?:meta\b[^>]*?(?:http-equiv|charset)\s*=|base\b[^>]*?href\s*=|link\b[^>]*?(?:rel|href)\s*=|form\b[^>]*?(?:action|id)\s*=|svg\s*/?\s*(?:>|on)|math\b[^>]*?href|(?:button|input)\b[^>]*?formaction\s*=|animate\b[^>]*?(?:values|to|from)\s*=|set\b[^>]*?attributename|\?xml-stylesheet|\?import\b|xml\b[^>]*?(?:src|id)|bgsound\b|layer\b|ilayer\b|!entity|!element|!doctype|!\[cdata\[|!--\[if|x:script|template\b|noscript\b|listing\b|xmp\b|plaintext\b|isindex\b|marquee\b|dialog\b|details\b|keygen\b|foreignobject\b|vmlframe|(?:\w+:)?xss\b)"#,
    )
    .at(Parts::PARAMS)
    .needs(b"<", b"eEaAlLtT"),
    pattern(
        "xss.style-code",
        0.86,
        r#"(?:expression|e/\*.*\*/xpression|exp/\*.*\*/ression|exprEssion)\s*\(\s*\(*\s*(?:alert|eval|this|document|window|function|['"]|\w+\s*[.(\[])|-moz-binding\s*:|behavior\s*:\s*url|@import\s*(?:['"]|url)|(?:background(?:-image)?|list-style-image)\s*:\s*url\s*\(\s*['"]?\s*(?:javascript|vbscript|data:text)"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::PARAMS)
    .words(&["expression", "xpression", "ression", "-moz-binding", "behavior", "@import", "url"]),
    pattern(
        "xss.template",
        0.86,
        r#"\{\{[^{}]*?(?:constructor|__proto__|\$eval|\$on\b|toString\(|__class__|\bself\.|\bconfig\b|request\.|\d\s*[*+]\s*['"]?\d)[^{}]*\}\}|\{\{\s*\[?\s*\]?\.|\$\{\s*(?:alert|confirm|prompt|eval)\b|\{\{\s*\d{1,12}\s*[*+-]\s*'?\d{1,12}'?\s*\}\}"#,
    )
    .at(Parts::INPUT)
    .needs(b"{", b"}"),
    pattern(
        "xss.stealing-shape",
        0.83,
        r#"<\s*(?:img|image|video|audio|source|input|body|table|td|div|a|br|link|bgsound|xml|html|svg|details|select|textarea|button)\b[^>]*?\b(?:src|background|href|dynsrc|lowsrc|xlink:href|action|poster)[\s\x00]*=[\s\x00"'`]*(?:javascript|vbscript|livescript|mocha|data:text|&#|x\s+on|jav)"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::INPUT)
    .needs(b"<", b"="),
    // Styles that fetch, bind or break out of their quotes; a plain colour is let through.
    pattern(
        "xss.style-break",
        0.83,
        r#"<[\w:/?!]+[^>]*?\bstyle\s*=[^>]*?(?:\burl\s*\(|expression|behaviou?r\s*:|binding\s*:|font-family\s*:[^;>"]*?[{}\[]|['"]\s*[\w-]+\[|&#x?[0-9a-f]|\\[0-9a-f]{2,6}|\[\w\])|['"][^<>]*\bstyle\s*=\s*['"]?[\w-]+\s*:\s*expression"#,
    )
    .on(Views::BASE.and(Views::DEEP).and(Views::HTML))
    .at(Parts::PARAMS)
    .needs(b"=", b"(:\\&[{")
    .words(&["style"]),
    pattern(
        "xss.bound-data",
        0.84,
        r#"<[\w:]+[^>]*?(?:\bdata(?:src|fld|formatas)\s*=|\bev:(?:event|handler)\s*=|\bxlink:href\s*=\s*['"]?\s*(?://|data:|https?:))|<svg[\s/>:]|<import\b[^>]*implementation\s*=|<xsl:\w|<\?xml:namespace|<object\b[^>]*classid\s*=|<style[^>]*>[^<]*?(?:url\s*\(|expression|@import|<!--|[\[{][^}]*?\])|<a\b[^>]*href\s*=\s*['"]?\s*data:"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::PARAMS)
    .needs(b"<", b"=>:")
    .words(&["data", "ev:", "xlink", "<svg", "<import", "<xsl:", "<?xml", "<object", "<style"]),
    pattern(
        "xss.late-handler",
        0.86,
        r#"['"`]\s*(?:[\w-]+\s*=\s*['"]?[^\s<>='"]+['"]?\s+)+on[a-z]{4,20}\s*=\s*['"]?\w"#,
    )
    .on(Views::DEEP.and(Views::HTML))
    .at(Parts::PARAMS)
    .needs(b"=", b"'\"`")
    .words(&["on"]),
    pattern("xss.seven-bit", 0.86, r"\+adw-.*?\+ad4-|\+adw-\s*script")
        .at(Parts::PARAMS)
        .words(&["+adw-"]),
    pattern("xss.style-tag", 0.55, r"<style[\s/>]").at(Parts::PARAMS).words(&["<style"]),
    Rule::new("xss.grammar", Class::Xss, 0.87, Check::Markup)
        .on(Views::DEEP.and(Views::HTML))
        .at(Parts::PARAMS)
        .needs(b"<=", b"<>='\"`/: "),
];
