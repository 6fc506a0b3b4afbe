//! Text from elsewhere, made fit to stand in a page.

use certadm_rules::printable::is_hidden;

/// Text with commands in backticks, which become code.
pub(super) fn with_code(text: &str) -> String {
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
pub(super) fn escaped(text: &str) -> String {
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
