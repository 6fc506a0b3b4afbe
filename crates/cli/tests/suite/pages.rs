//! The summary page as a browser shows it: on a phone and on a desk, light and dark, and on paper. Where there is no
//! Chromium, the tests of its looks are left out, with one line that says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Work;

/// A CA whose page has everything: issued and revoked certificates, backups, certificates that end soon.
fn world() -> Work {
    let work = Work::with_ca();
    for name in ["one", "two", "a-rather-long-name-of-a-machine-in-some-data-centre"] {
        work.issue("ca", name);
    }
    let serial = work.issue("ca", "gone");
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial} --reason superseded"));
    work.result("backup --dir {ca} --to {set}");
    work.issue("ca", "three");
    work.result("backup --dir {ca} --to {logs} --type logs");
    work
}

#[test]
fn a_page_is_replaced_on_request_and_of_several_sets() {
    let work = world();
    let page = |line: &str| {
        work.run(line).good();
        fs::read_to_string(work.path("page.html")).unwrap()
    };
    let one = page("show {set} --html {page.html}");
    let refused = work.run("--json show {set} --html {page.html}");
    assert_eq!(refused.code, 3);
    assert!(refused.json()["error"]["remedy"].as_str().unwrap().contains("--force"), "{refused:?}");
    assert_eq!(work.run("show {set} --force").code, 2, "--force is about the page alone");
    let all = page("show {set} {logs} --html {page.html} --force");
    assert!(one.contains("<h2>Certificates issued, by month <span class=\"soft\">4 in all"), "{one}");
    assert!(all.contains("<h2>Certificates issued, by month <span class=\"soft\">5 in all"), "{all}");
    assert_eq!((one.matches("<h2>Health").count(), all.matches("<h2>Health").count()), (1, 2));
    let shown = work.result("show {set} {logs}");
    assert_eq!((&shown["what"], shown["sets"].as_array().unwrap().len()), (&"sets".into(), 2));
}

#[test]
fn the_page_says_what_one_opens_it_for() {
    let work = world();
    let page = |line: &str| {
        work.run(line).good();
        fs::read_to_string(work.path("page.html")).unwrap()
    };
    let folder = page("show --dir {ca} --html {page.html}");
    for part in [
        "Written on 20",
        "Test-CA",
        "<th scope=\"col\">Age</th>",
        "Verified on 20",
        "class=\"good\"",
        "class=\"today\"",
        "Ending within 90 days",
        "<main>",
        "@media print",
        "<details><summary>The numbers</summary>",
        "Revoked since",
    ] {
        assert!(folder.contains(part), "{part}: {folder}");
    }
    // The backup was just taken; how many seconds ago depends on the machine.
    let is_seconds = |cell: &str| {
        cell.split_once(" s</td>").is_some_and(|(number, _)| number.parse::<u32>().is_ok_and(|age| age < 120))
    };
    assert!(folder.split("<td>").any(is_seconds), "{folder}");
    let set = page("show {set} --html {page.html} --force");
    assert!(set.contains("Not verified") && !set.contains("class=\"good\""), "{set}");
    assert!(set.contains("Not included") && set.contains("this set (full)"), "{set}");
}

/// The browser, where there is one.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        println!("no Chromium here: how the page looks is not tested");
    }
    found
}

/// Runs the browser on a page in a window of this width, and gives what it prints.
fn browse(browser: &Path, work: &Work, page: &Path, width: u32, options: &[&str]) -> Option<String> {
    let profile = work.path("profile");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},900"))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .env("HOME", work.path(""))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a script finds in a frame that shows a page.
struct Measured {
    /// The smallest text in pixels of the screen.
    least: f64,
    /// How much wider than the frame the page is.
    wider: f64,
    /// The least contrast of a text with its paper.
    contrast: f64,
    /// Whether each link and each part that opens can be reached by keyboard.
    by_keyboard: bool,
    /// The colour of its paper.
    paper: String,
}

/// What a script finds in a frame of this width.
fn measured(browser: &Path, work: &Work, name: &str, width: u32, dark: bool) -> Option<Measured> {
    // The page itself allows no script; a copy without that line is measured.
    let text = fs::read_to_string(work.path(name)).unwrap();
    let (before, rest) = text.split_once("<meta http-equiv").unwrap();
    let (_, after) = rest.split_once('>').unwrap();
    let script = "<script>addEventListener('load',()=>{let least=1e9;\
        let contrast=99;\
        const light=c=>{const p=c.match(/[0-9.]+/g).slice(0,3).map(v=>{v/=255;return v<=.04045?v/12.92:((v+.055)/1.055)**2.4});\
        return .2126*p[0]+.7152*p[1]+.0722*p[2]};const paper=getComputedStyle(document.body).backgroundColor;\
        const texts=document.createTreeWalker(document.body,NodeFilter.SHOW_TEXT);\
        while(texts.nextNode()){const owner=texts.currentNode.parentElement;\
        if(!texts.currentNode.textContent.trim()||owner.closest('script,style,.hidden,details:not([open])>:not(summary)'))continue;\
        const svg=owner.closest('svg');const scale=svg?svg.getBoundingClientRect().width/svg.viewBox.baseVal.width:1;\
        least=Math.min(least,parseFloat(getComputedStyle(owner).fontSize)*scale);\
        if(!svg){const a=light(getComputedStyle(owner).color),b=light(paper);contrast=Math.min(contrast,(Math.max(a,b)+.05)/(Math.min(a,b)+.05))}}\
        const reached=[...document.querySelectorAll('a[href],summary')].every(one=>{one.focus();return document.activeElement===one});\
        const wider=document.documentElement.scrollWidth-innerWidth;\
        document.documentElement.setAttribute('data-found',[least,wider,contrast,reached,paper].join(';'))})</script>";
    let measured = work.path("measured.html");
    fs::write(&measured, format!("{before}{after}").replace("</body>", &format!("{script}</body>"))).unwrap();
    // A window is never narrower than the system allows, a frame is.
    let frame = work.path("frame.html");
    let outer = format!(
        "<!doctype html><iframe id=f src=\"measured.html\" style=\"width:{width}px;height:800px;border:0\"></iframe>\
         <script>f.onload=()=>setTimeout(()=>document.title=f.contentDocument.documentElement.dataset.found,200)</script>"
    );
    fs::write(&frame, outer).unwrap();
    let scheme = if dark {
        "--blink-settings=preferredColorScheme=0"
    } else {
        "--blink-settings=preferredColorScheme=1"
    };
    let options = ["--allow-file-access-from-files", "--virtual-time-budget=5000", scheme, "--dump-dom"];
    let dom = browse(browser, work, &frame, 1440, &options)?;
    let found = dom.split_once("<title>")?.1.split_once("</title>")?.0;
    let mut parts = found.split(';');
    Some(Measured {
        least: parts.next()?.parse().ok()?,
        wider: parts.next()?.parse().ok()?,
        contrast: parts.next()?.parse().ok()?,
        by_keyboard: parts.next()? == "true",
        paper: parts.next()?.to_owned(),
    })
}

#[test]
fn text_is_readable_on_a_phone_and_on_a_desk_light_and_dark() {
    let Some(browser) = chromium() else { return };
    let work = world();
    work.run("show --dir {ca} --html {page.html}").good();
    work.run("show {set} {logs} --html {sets.html}").good();
    readable(&browser, &work, &["page.html", "sets.html"]);
}

/// Whether pages can be read on a phone and on a desk, light and dark.
fn readable(browser: &Path, work: &Work, pages: &[&str]) {
    let mut papers = Vec::new();
    for page in pages {
        for width in [390, 1440] {
            for dark in [false, true] {
                let Some(found) = measured(browser, work, page, width, dark) else {
                    println!("the Chromium here does not run: how the page looks is not tested");
                    return;
                };
                let Measured { least, wider, contrast, .. } = found;
                assert!(12.0 <= least, "{page} at {width}: text of {least} px");
                assert!(wider <= 0.0, "{page} is {wider} px wider than {width}");
                // WCAG 2.2, 1.4.3: level AA.
                assert!(4.5 <= contrast, "{page}, dark: {dark}: a contrast of {contrast}");
                assert!(found.by_keyboard, "{page}: a link or a part that opens gets no focus");
                papers.push(found.paper);
            }
        }
    }
    papers.sort();
    papers.dedup();
    assert_eq!(papers, ["rgb(20, 25, 31)", "rgb(255, 255, 255)"], "dark and light");
}

#[test]
fn the_page_prints() {
    let Some(browser) = chromium() else { return };
    let work = world();
    work.run("show --dir {ca} --html {page.html}").good();
    let pdf = work.path("page.pdf");
    let option = format!("--print-to-pdf={}", pdf.display());
    if browse(&browser, &work, &work.path("page.html"), 1440, &[&option]).is_some() {
        assert!(fs::read(pdf).unwrap().starts_with(b"%PDF"));
    }
}

/// A page of a fleet with everything: a line of time with a gap, alarms, rehearsals, runs, findings.
#[cfg(all(unix, feature = "repository"))]
fn fleet() -> Work {
    use crate::jobs::{result, run, world};
    let job = "to = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'every 31d'\nverify = 'monthly 1 00:00'\nrpo = '1s'\ncertificate = '5000w'";
    let work = world(job);
    work.issue("ca", "one");
    result(&work, "run nightly");
    result(&work, "run nightly --now logs");
    result(&work, "run nightly --now rehearse");
    fs::rename(work.path("ca"), work.path("gone")).unwrap();
    run(&work, "run nightly --now full");
    assert_eq!(run(&work, "status --html {status.html}").code, 1);
    work
}

#[test]
#[cfg(all(unix, feature = "repository"))]
fn the_page_of_a_fleet_tells_moments_rehearsals_runs_and_what_to_do() {
    let work = fleet();
    let page = fs::read_to_string(work.path("status.html")).unwrap();
    for part in [
        "2 moments that can be restored",
        "class=\"full\"",
        "Can be restored to",
        "PROVEN: the CA comes back from these sets",
        "<summary>Runs</summary>",
        "What to do: ",
        "Alarm: failed",
        "<a href=\"#ca0\">web</a>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let Some(browser) = chromium() else { return };
    readable(&browser, &work, &["status.html"]);
    // Anything that the page fetches, and any mistake in it, stands in the browser's console.
    let output = Command::new(&browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", work.path("console").display()))
        .arg(format!("file://{}", work.path("status.html").display()))
        .env("HOME", work.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(lines.is_empty(), "{lines:#?}");
    let pdf = work.path("status.pdf");
    let option = format!("--print-to-pdf={}", pdf.display());
    if browse(&browser, &work, &work.path("status.html"), 1440, &[&option]).is_some() {
        assert!(fs::read(pdf).unwrap().starts_with(b"%PDF"));
    }
}
