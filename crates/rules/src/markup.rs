//! Pages in HTML: their head and style, and text from elsewhere made fit to stand in them. A page needs nothing else: it has
//! no script and fetches nothing.

use crate::printable::is_hidden;

/// It reads on a phone, on a desk, on paper, and aloud.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6b7a;--paper:#fff;--line:#d9dfe6;--bar:#2f6fb2;--past:#9db4cc;--mark:#b3261e;--good:#227a4b;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa7b4;--paper:#14191f;--line:#333c46;--bar:#6aa5e0;--past:#4a6480;--mark:#f2857c;--good:#5cc08a;--bad:#f2857c}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2rem 0 .5rem}h2 .soft{font-weight:400;font-size:.9rem;margin-left:.5rem}\
.soft,caption{color:var(--soft)}caption{text-align:left}.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}\
table{border-collapse:collapse;width:100%}\
th{text-align:left;font-weight:500;color:var(--soft);vertical-align:top}.facts th{width:14rem}\
th,td{padding:.25rem .5rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}td{vertical-align:top}.list th,.list td:first-of-type{white-space:nowrap}.list td{white-space:normal}\
.bars th{width:40%}.bars td:nth-child(2){width:4rem;text-align:right}.bars span{display:block;height:1rem;margin:.25rem 0;background:var(--bar)}.numbers td{text-align:right}\
code{font:.9em ui-monospace,monospace}.good{color:var(--good)}.bad{color:var(--bad)}details{margin:.25rem 0}\
.chart{overflow-x:auto}svg{display:block}svg text{fill:var(--ink);font:12px system-ui,sans-serif}\
svg .soft{fill:var(--soft)}svg rect{fill:var(--bar)}svg .past{fill:var(--past)}svg .marked{fill:var(--mark)}svg line{stroke:var(--line)}svg .today{stroke:var(--ink);stroke-dasharray:4 3}\
.key{display:inline-block;width:.8rem;height:.8rem;margin:0 .3rem 0 .8rem;background:var(--bar)}.key.marked{background:var(--mark)}.key.past{background:var(--past)}\
@media(max-width:600px){.facts tr,.facts th,.facts td,.list tr,.list td,.list th{display:block;width:auto;border:0;padding:.1rem 0}.list tr:first-child{display:none}.facts tr,.list tr{border-bottom:1px solid var(--line);padding:.3rem 0}\
.bars tr{display:grid;grid-template-columns:1fr auto}.bars th,.bars td{width:auto;border:0}.bars td:nth-child(3){grid-column:1/3}}\
@media print{body{margin:0;max-width:none}h2{break-after:avoid}section,tr,.chart{break-inside:avoid}.chart{overflow:visible}svg{max-width:100%;height:auto}details{display:none}\
.bars span,svg rect,.key{print-color-adjust:exact}}";

/// Text with commands in backticks, which become code.
pub fn with_code(text: &str) -> String {
    let parts: Vec<String> = text.split('`').map(escaped).collect();
    // A last backtick without its fellow is one.
    let pairs = parts.len() - usize::from(parts.len().is_multiple_of(2));
    let mut out = String::with_capacity(text.len() + 32);
    for (place, part) in parts.iter().enumerate() {
        match place {
            _ if pairs <= place => out.push('`'),
            place if place % 2 == 1 => out.push_str("<code>"),
            0 => {}
            _ => out.push_str("</code>"),
        }
        out.push_str(part);
    }
    out
}

/// Text as it may stand in a page: between tags and in attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("; "),
            letter if is_hidden(letter) => out.extend(letter.escape_default()),
            letter => out.push(letter),
        }
    }
    out
}

/// The beginning of a page, up to and with its heading: `body` and `main` are open then.
#[must_use]
pub fn head(title: &str, when: &str, version: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n\
         <body><main><h1>{title}</h1><p class=\"soft\">Written on {} by certadm {version}.</p>\n",
        escaped(when),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_code() {
        assert_eq!(with_code("run `a <b>` now"), "run <code>a &lt;b&gt;</code> now");
        assert_eq!(with_code("`a` and `b`"), "<code>a</code> and <code>b</code>");
        assert_eq!(with_code("a lone ` stays"), "a lone ` stays");
        assert_eq!(with_code("`a` and `"), "<code>a</code> and `");
        assert_eq!(with_code(""), "");
    }
}
