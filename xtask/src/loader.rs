//! Whether programs find the installed library: the system's loader keeps a list of its own, which `ldconfig` writes.

use std::path::Path;
use std::process::{Command, Stdio};

/// Writes the loader's list anew where it covers the folder, and says what is left to do.
pub(crate) fn tell(folder: &Path, library: &str) -> String {
    let covered = covers(&said(&["-v", "-N", "-X"]), folder);
    let written = covered && said_well(&[]);
    let known = written || knows(&said(&["-p"]), folder, library);
    advice(folder, covered, known)
}

/// What to do before a program finds the library.
fn advice(folder: &Path, covered: bool, known: bool) -> String {
    let folder = folder.display();
    if known {
        format!("programs find the library: ldconfig has it in its list ({folder})")
    } else if covered {
        "before a program finds the library, run as root: ldconfig".to_owned()
    } else {
        format!(
            "the loader does not look into {folder}. Run as root: echo {folder} > /etc/ld.so.conf.d/certadm.conf && \
             ldconfig; or run programs with LD_LIBRARY_PATH={folder}"
        )
    }
}

/// Whether a folder is one of those that `ldconfig -v` names: each on a line of its own, with a colon behind it.
fn covers(listing: &str, folder: &Path) -> bool {
    let folders =
        listing.lines().filter(|line| line.starts_with('/')).filter_map(|line| line.split_once(':'));
    folders.into_iter().any(|(name, _)| same(Path::new(name), folder))
}

/// Whether `ldconfig -p` has the library of this folder.
fn knows(list: &str, folder: &Path, library: &str) -> bool {
    list.lines().filter_map(|line| line.split_once(" => ")).any(|(_, path)| {
        let path = Path::new(path);
        path.file_name().is_some_and(|name| name == library)
            && path.parent().is_some_and(|at| same(at, folder))
    })
}

/// The same folder, by whatever links.
fn same(left: &Path, right: &Path) -> bool {
    left == right
        || matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

fn command(arguments: &[&str]) -> Command {
    // It stands where only root's search path leads.
    let place = ["/sbin/ldconfig", "/usr/sbin/ldconfig"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(place.unwrap_or("ldconfig"));
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn said(arguments: &[&str]) -> String {
    let output = command(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn said_well(arguments: &[&str]) -> bool {
    command(arguments).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "/usr/local/lib: (from /etc/ld.so.conf.d/libc.conf:2)\n\tlibx.so.1 -> libx.so.1.2\n\
                           /no/such/lib:\n\tliby.so -> liby.so\n";
    const LIST: &str = "2 libs found in cache `/etc/ld.so.cache'\n\
                        \tlibcertadm.so.1 (libc6,x86-64) => /no/such/lib/libcertadm.so.1\n";

    #[test]
    fn folders_and_libraries_are_found_in_what_it_prints() {
        assert!(covers(LISTING, Path::new("/no/such/lib")) && covers(LISTING, Path::new("/usr/local/lib")));
        assert!(!covers(LISTING, Path::new("/no/such")) && !covers("", Path::new("/no/such/lib")));
        assert!(knows(LIST, Path::new("/no/such/lib"), "libcertadm.so.1"));
        assert!(!knows(LIST, Path::new("/no/such/lib"), "libcertadm.so"));
        assert!(!knows(LIST, Path::new("/opt/lib"), "libcertadm.so.1"));
    }

    #[test]
    fn the_advice_names_the_command() {
        let lib = Path::new("/opt/lib");
        assert!(advice(lib, true, true).contains("programs find the library"));
        assert!(advice(lib, true, false).ends_with("run as root: ldconfig"));
        let elsewhere = advice(lib, false, false);
        assert!(elsewhere.contains("/etc/ld.so.conf.d/certadm.conf && ldconfig"), "{elsewhere}");
        assert!(elsewhere.contains("LD_LIBRARY_PATH=/opt/lib"), "{elsewhere}");
    }
}
