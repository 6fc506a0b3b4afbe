//! The page that an auditor wants: each rehearsal, the chain, the times without proof.

use std::fmt::Write;

use certadm_rules::FileTime;
use certadm_rules::markup::{escaped, head};
use certadm_rules::words::counted;

use super::history::History;
use super::page::tone;
use certadm_rules::span::rounded;

/// The page of a folder of evidence.
#[must_use]
pub fn history_page(history: &History, now: FileTime) -> String {
    let name = history.newest().map_or("", |evidence| evidence.ca.name.as_str());
    let title = if name.is_empty() { "Rehearsals".to_owned() } else { format!("Rehearsals of {name}") };
    let mut page = head(&title, &now.to_rfc3339(), env!("CARGO_PKG_VERSION"));
    page.push_str("<section><h2>In short</h2><table class=\"facts\">");
    let mut row = |name: &str, value: &str, class: &str| {
        write!(page, "<tr><th scope=\"row\">{name}</th><td{class}>{}</td></tr>", escaped(value)).ok();
    };
    row("Rehearsals", &history.runs.len().to_string(), "");
    match history.last_proof() {
        Some(last) => {
            row("Last proof", &format!("{}: {}", last.ended, last.verdict.sentence()), tone(&last.verdict));
        }
        None => row("Last proof", "none", " class=\"bad\""),
    }
    row(
        "Longest time without proof",
        &history.longest_seconds.map_or_else(|| "not known".to_owned(), rounded),
        "",
    );
    let chain = match history.breaks.len() {
        0 => ("it holds".to_owned(), " class=\"good\""),
        count => (counted(count as u64, "break"), " class=\"bad\""),
    };
    row("Chain of evidence", &chain.0, chain.1);
    page.push_str("</table></section>\n");
    list(
        &mut page,
        "Where the chain does not hold",
        ["File", "What is wrong"],
        history.breaks.iter().map(|one| [one.file.clone(), one.detail.clone()]),
    );
    list(
        &mut page,
        "Time without proof",
        ["From", "Until, and how long"],
        history.gaps.iter().map(|gap| {
            let until = gap.until.as_deref().unwrap_or("now");
            [
                gap.from.clone().unwrap_or_else(|| "the beginning".to_owned()),
                format!("{until}: {}", rounded(gap.seconds)),
            ]
        }),
    );
    runs(&mut page, history);
    page.push_str("</main></body></html>\n");
    page
}

fn list(page: &mut String, heading: &str, columns: [&str; 2], rows: impl Iterator<Item = [String; 2]>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let [first, second] = columns;
    write!(
        page,
        "<section><h2>{heading}</h2><table class=\"list\"><tr><th scope=\"col\">{first}</th>\
         <th scope=\"col\">{second}</th></tr>"
    )
    .ok();
    for [first, second] in rows {
        write!(page, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(&first), escaped(&second)).ok();
    }
    page.push_str("</table></section>\n");
}

fn runs(page: &mut String, history: &History) {
    page.push_str(
        "<section><h2>Rehearsals</h2><table class=\"list\"><tr><th scope=\"col\">Began</th><th scope=\"col\">Verdict</th>\
         <th scope=\"col\">RPO</th><th scope=\"col\">RTO</th><th scope=\"col\">Certificates</th>\
         <th scope=\"col\">Open</th><th scope=\"col\">By</th><th scope=\"col\">File, SHA-256</th></tr>",
    );
    for kept in history.runs.iter().rev() {
        let evidence = &kept.evidence;
        write!(
            page,
            "<tr><th scope=\"row\">{}</th><td{}>{}</td><td>{}</td><td>{:.1} s</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{} <code>{}</code></td></tr>",
            escaped(&evidence.started),
            tone(&evidence.verdict),
            escaped(&evidence.verdict.sentence()),
            evidence.rpo.seconds.map_or_else(|| "not known".to_owned(), rounded),
            evidence.rto.seconds,
            evidence.certificates_proven,
            evidence.findings.len(),
            escaped(&format!("{} on {}", evidence.account, evidence.host)),
            escaped(&kept.file),
            &kept.sha256
        )
        .ok();
    }
    page.push_str("</table></section>\n");
}
