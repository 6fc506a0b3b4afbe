//! The section of the summary page that says whether everything is there that the CA needs.

use std::fmt::Write;

use certadm_recovery::complete::{Conclusion, State, Verdict};

use certadm_rules::markup::{escaped, with_code};

/// The table of components; or why there is none.
pub(super) fn section(verdict: &Result<Verdict, String>) -> String {
    let mut page = String::from("<section><h2>What the CA needs to come back</h2>");
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(problem) => {
            write!(page, "<p>It was not judged: {}.</p>", with_code(problem)).ok();
            page.push_str("</section>\n");
            return page;
        }
    };
    // Nothing of it is green: the bytes of the set were not compared.
    let (class, text) = match (verdict.contradicts, verdict.verdict) {
        (true, _) => ("bad", "Something is of another CA.".to_owned()),
        (_, Conclusion::Complete) => ("soft", "Everything is there.".to_owned()),
        (_, Conclusion::CannotTell) => ("soft", "Nothing says whether everything is there.".to_owned()),
        (_, Conclusion::Incomplete) if verdict.missing.is_empty() => {
            ("bad", "Incomplete: something that is there is not good.".to_owned())
        }
        (_, Conclusion::Incomplete) => {
            ("bad", format!("Incomplete: {} missing.", verdict.missing.join(", ")))
        }
    };
    write!(page, "<p class=\"{class}\">{}</p><table class=\"list\">", escaped(&text)).ok();
    page.push_str(
        "<tr><th scope=\"col\">What</th><th scope=\"col\">State</th><th scope=\"col\">Where, and what was checked</th></tr>",
    );
    for component in &verdict.components {
        let is_missing = component.state == State::Absent && component.needed;
        let class = if is_missing { " class=\"bad\"" } else { "" };
        write!(page, "<tr><th scope=\"row\">{}</th><td{class}>{}</td><td>", component.name, component.state)
            .ok();
        page.push_str(&escaped(component.source.as_deref().unwrap_or_default()));
        if let Some(taken) = &component.taken {
            write!(page, " <span class=\"soft\">{}</span>", escaped(taken)).ok();
        }
        for check in &component.checks {
            let class = if check.ok == Some(false) { " class=\"bad\"" } else { "" };
            write!(page, "<div{class}>{}", escaped(&check.detail)).ok();
            if let Some(remedy) = &check.remedy {
                write!(page, " <span class=\"soft\">{}</span>", escaped(remedy)).ok();
            }
            page.push_str("</div>");
        }
        page.push_str("</td></tr>");
    }
    page.push_str("</table></section>\n");
    page
}
