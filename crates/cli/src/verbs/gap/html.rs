//! The gap as a page: one file that needs nothing else. No script, no fetch; every text from elsewhere is escaped.

use std::fmt::Write;

use certadm_recovery::gap::{Gap, Unknown};
use certadm_rules::FileTime;
use certadm_rules::finding::Finding;
use certadm_rules::markup::{escaped, head, with_code};

/// A page shows so many rows of a list; `gap.csv` has all.
const ROWS: usize = 1000;

pub(super) fn page(gap: &Gap, found: &[Finding], now: FileTime) -> String {
    let title = format!("Gap: {}", gap.ca.as_deref().unwrap_or("a CA without a common name"));
    let mut page = head(&title, &now.to_rfc3339(), env!("CARGO_PKG_VERSION"));
    numbers(&mut page, gap);
    let date = |when: Option<FileTime>| when.map(FileTime::to_rfc3339).unwrap_or_default();
    let id = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
    let findings = found.iter().map(|finding| {
        let path = finding.place.file.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        [
            finding.severity.key().to_owned(),
            path,
            finding.detail.clone(),
            finding.remedy.as_deref().unwrap_or_default().to_owned(),
        ]
    });
    table(&mut page, "Findings", ["Grade", "Source", "What", "What to do"], findings);
    let certificate = |found: &Unknown| {
        let revoked = found.revoked.map(|revoked| revoked.reason.to_string()).unwrap_or_default();
        [
            id(found.request_id),
            found.serial_number.to_string(),
            found.subject.clone(),
            found.requester.clone(),
            date(found.when),
            revoked,
        ]
    };
    let heads = ["Request", "Serial number", "Subject", "Requester", "Issued", "Revoked"];
    table(&mut page, "At hand: can be imported", heads, gap.importable.iter().map(certificate));
    table(&mut page, "Serial number alone: can be revoked", heads, gap.serial_only.iter().map(certificate));
    let other = gap.of_unknown_key.iter().map(|one| {
        [
            one.serial_number.to_string(),
            one.subject.clone(),
            one.signer.clone(),
            date(one.when),
            date(one.not_after),
        ]
    });
    table(
        &mut page,
        "Of a key that the database does not know",
        ["Serial number", "Subject", "Signed by key", "From", "Until"],
        other,
    );
    let only = gap.request_only.iter().map(|only| {
        let id = only.request_id.to_string();
        [id, only.subject.clone(), only.requester.clone(), only.key_identifier.clone(), date(only.when)]
    });
    table(
        &mut page,
        "Issued, serial number unknown",
        ["Request", "Subject", "Requester", "Key", "Issued"],
        only,
    );
    let open = gap
        .unaccounted
        .iter()
        .map(|ids| [ids.first.to_string(), ids.last.to_string(), ids.count().to_string()]);
    table(&mut page, "Requests of which nothing is known", ["From", "To", "Requests"], open);
    let revoked = gap.revoked_elsewhere.iter().map(|entry| {
        let revoked = entry.revoked;
        [
            entry.request_id.to_string(),
            entry.serial_number.to_string(),
            revoked.reason.to_string(),
            date(revoked.when),
        ]
    });
    table(&mut page, "Revoked after the backup", ["Request", "Serial number", "Reason", "Since"], revoked);
    let against = gap.contradictions.iter().map(|one| {
        let serial = one.serial_number.as_ref().map(ToString::to_string).unwrap_or_default();
        [one.request_id.to_string(), serial, format!("{:?}", one.what), one.computer.clone(), date(one.when)]
    });
    table(&mut page, "Contradictions", ["Request", "Serial number", "What", "Machine", "When"], against);
    let sources = gap.sources.iter().map(|source| {
        let problem = source.problem.clone().unwrap_or_default();
        [
            source.kind.to_owned(),
            source.path.clone(),
            source.read.to_string(),
            source.of_this_ca.to_string(),
            problem,
        ]
    });
    table(&mut page, "Sources", ["Kind", "File", "Read", "Of this CA", "Problem"], sources);
    page.push_str("</main></body></html>\n");
    page
}

fn numbers(page: &mut String, gap: &Gap) {
    let rpo = &gap.rpo;
    let rows = [
        ("Certificates in the database", gap.certificates.to_string()),
        ("Last request in the database", rpo.last_request.to_string()),
        ("Of", rpo.last_when.map(FileTime::to_rfc3339).unwrap_or_default()),
        ("Requests after it", rpo.requests.to_string()),
        ("Certificates", rpo.certificates.to_string()),
        ("Of them without a request number", rpo.unnumbered.to_string()),
        ("Denied", rpo.denied.to_string()),
        ("Pending", rpo.pending.to_string()),
        ("Unknown", rpo.unknown.to_string()),
    ];
    page.push_str("<section><h2>How far the backup falls short</h2><table class=\"facts\">");
    for (name, value) in rows {
        write!(page, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escaped(&value)).ok();
    }
    page.push_str("</table></section>\n");
}

fn table<const N: usize>(
    page: &mut String,
    title: &str,
    heads: [&str; N],
    rows: impl ExactSizeIterator<Item = [String; N]>,
) {
    let count = rows.len();
    if count == 0 {
        return;
    }
    write!(page, "<section><h2>{title} <span class=\"soft\">{count}</span></h2><table class=\"list\"><tr>")
        .ok();
    for head in heads {
        write!(page, "<th scope=\"col\">{head}</th>").ok();
    }
    page.push_str("</tr>");
    for row in rows.take(ROWS) {
        page.push_str("<tr>");
        for cell in row {
            write!(page, "<td>{}</td>", with_code(&cell)).ok();
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>");
    if ROWS < count {
        write!(page, "<p>The first {ROWS} are shown; <code>gap.csv</code> has all.</p>").ok();
    }
    page.push_str("</section>\n");
}
