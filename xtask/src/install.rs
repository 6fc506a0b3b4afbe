//! `install`: command, library, header, pkg-config file, manual pages, completions and service unit below a prefix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::loader;
use crate::process;
use crate::workspace::Workspace;

/// The name that programs linked against the library look for at run time; `crates/ffi/build.rs` puts it into the library.
const SONAME: &str = "libcertadm.so.1";

/// What to install, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wish<'a> {
    prefix: &'a str,
    profile: &'a str,
    symbols: Symbols,
}

/// Names and line numbers for debuggers and profilers: most of what the linker writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbols {
    /// They stay in the target folder.
    Left,
    /// They go into a file beside the program, which the program names, so that debuggers find it.
    Beside,
}

impl<'a> Wish<'a> {
    /// Reads the arguments of the verb.
    pub(crate) fn read(mut words: &[&'a str]) -> Result<Self> {
        let (mut prefix, mut profile, mut symbols) = (None, "release", Symbols::Left);
        loop {
            words = match words {
                [] => break,
                ["--prefix", value, rest @ ..] => {
                    prefix = Some(*value);
                    rest
                }
                ["--profile", value, rest @ ..] => {
                    profile = value;
                    rest
                }
                ["--debug-symbols", rest @ ..] => {
                    symbols = Symbols::Beside;
                    rest
                }
                [other, ..] => return Err(Failure::new(format!("`{other}` is no argument of install"))),
            };
        }
        let prefix = prefix.ok_or_else(|| Failure::new("install needs --prefix DIR"))?;
        Ok(Self { prefix, profile, symbols })
    }
}

/// Builds with the profile, and puts everything below the prefix. Files of an earlier installation are replaced.
pub(crate) fn run(workspace: &Workspace, wish: &Wish<'_>) -> Result<()> {
    let Wish { prefix, profile, symbols } = *wish;
    workspace.run_cargo(&[
        "build",
        "--locked",
        "--profile",
        profile,
        "-p",
        "certadm",
        "-p",
        "certadm-ffi",
    ])?;
    let prefix = std::path::absolute(prefix).context(format_args!("{prefix} is no path"))?;
    let built = workspace.target().join(if profile == "dev" { "debug" } else { profile });
    let tree = Tree { prefix: &prefix };
    let command = tree.program(&built.join("certadm"), "bin/certadm", symbols)?;
    tree.program(&built.join("libcertadm.so"), &format!("lib/{SONAME}"), symbols)?;
    tree.link(SONAME, "lib/libcertadm.so")?;
    tree.copy(&workspace.path("include/certbcli.h"), "include/certbcli.h")?;
    tree.write("lib/pkgconfig/certadm.pc", pkg_config(&prefix, env!("CARGO_PKG_VERSION")))?;
    let unit = workspace.read("dist/systemd/certadm@.service")?;
    tree.write("lib/systemd/system/certadm@.service", own_unit(&unit, &command))?;
    let unit = workspace.read("dist/systemd/certadm-agent.service")?;
    tree.write("lib/systemd/system/certadm-agent.service", own_unit(&unit, &command))?;
    tree.copy(&workspace.path("dist/systemd/certadm@.socket"), "lib/systemd/system/certadm@.socket")?;
    for name in ["backup.c", "restore.c", "portable.h"] {
        let example = workspace.path("examples/c").join(name);
        tree.copy(&example, &format!("share/doc/certadm/examples/{name}"))?;
    }
    for (shell, place) in [
        ("bash", "share/bash-completion/completions/certadm"),
        ("zsh", "share/zsh/site-functions/_certadm"),
        ("fish", "share/fish/vendor_completions.d/certadm.fish"),
    ] {
        tree.write(place, process::output(Command::new(&command).args(["completions", shell]))?)?;
    }
    let manual = tree.folder("share/man")?;
    process::output(Command::new(&command).arg("man").arg(&manual))?;
    println!("installed below {}", prefix.display());
    println!("{}", loader::tell(&prefix.join("lib"), SONAME));
    Ok(())
}

/// What `pkg-config --cflags --libs certadm` answers from.
fn pkg_config(prefix: &Path, version: &str) -> String {
    format!(
        "prefix={}\n\
         libdir=${{prefix}}/lib\n\
         includedir=${{prefix}}/include\n\
         \n\
         Name: certadm\n\
         Description: Certificate Services backup and restore, the API of certbcli.h\n\
         Version: {version}\n\
         Libs: -L\"${{libdir}}\" -lcertadm\n\
         Cflags: -I\"${{includedir}}\"\n",
        prefix.display()
    )
}

/// The service unit, with the command where it was installed.
fn own_unit(unit: &str, command: &Path) -> String {
    unit.replace("ExecStart=/usr/bin/certadm ", &format!("ExecStart={} ", command.display()))
}

/// The tree that is installed into.
struct Tree<'a> {
    prefix: &'a Path,
}

impl Tree<'_> {
    fn folder(&self, place: &str) -> Result<PathBuf> {
        let folder = self.prefix.join(place);
        fs::create_dir_all(&folder).context(format_args!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// A free place for a file: what was there is removed and not written over, since somebody may be running it.
    fn place(&self, place: &str) -> Result<PathBuf> {
        let path = self.prefix.join(place);
        if let Some((folder, _)) = place.rsplit_once('/') {
            self.folder(folder)?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(format_args!("cannot replace {}", path.display()))
            }
            _ => Ok(path),
        }
    }

    fn copy(&self, from: &Path, place: &str) -> Result<PathBuf> {
        let path = self.place(place)?;
        fs::copy(from, &path).context(format_args!("cannot copy {}", from.display()))?;
        Ok(path)
    }

    /// A program or library without its symbols.
    fn program(&self, from: &Path, place: &str, symbols: Symbols) -> Result<PathBuf> {
        let path = self.place(place)?;
        // What an earlier installation left would not fit.
        let debug = self.place(&format!("{place}.debug"))?;
        let mut strip = Command::new("objcopy");
        strip.arg("--strip-all");
        if symbols == Symbols::Beside {
            process::run(Command::new("objcopy").arg("--only-keep-debug").arg(from).arg(&debug))?;
            fs::set_permissions(&debug, fs::Permissions::from_mode(0o644))
                .context(format_args!("cannot change {}", debug.display()))?;
            strip.arg(format!("--add-gnu-debuglink={}", debug.display()));
        }
        process::run(strip.arg(from).arg(&path))?;
        Ok(path)
    }

    fn write(&self, place: &str, content: String) -> Result<()> {
        let path = self.place(place)?;
        fs::write(&path, content).context(format_args!("cannot write {}", path.display()))
    }

    fn link(&self, target: &str, place: &str) -> Result<()> {
        let path = self.place(place)?;
        std::os::unix::fs::symlink(target, &path).context(format_args!("cannot create {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_come_in_any_order() {
        let wish = Wish { prefix: "/opt", profile: "dev", symbols: Symbols::Beside };
        assert_eq!(Wish::read(&["--debug-symbols", "--profile", "dev", "--prefix", "/opt"]).unwrap(), wish);
        let plain = Wish { prefix: "/opt", profile: "release", symbols: Symbols::Left };
        assert_eq!(Wish::read(&["--prefix", "/opt"]).unwrap(), plain);
        for bad in [&[][..], &["--prefix"], &["--prefix", "/opt", "--strip"]] {
            assert!(Wish::read(bad).is_err(), "{bad:?}");
        }
    }

    /// What is installed is without symbols, and still runs; they are beside it where that was asked for.
    #[test]
    fn programs_are_installed_without_symbols() {
        if Command::new("objcopy").arg("--version").output().is_err() {
            println!("skipped: objcopy is not installed");
            return;
        }
        let prefix = std::env::temp_dir().join(format!("certadm strip {}", std::process::id()));
        let own = std::env::current_exe().unwrap();
        let len = |path: &Path| fs::metadata(path).unwrap().len();
        for symbols in [Symbols::Left, Symbols::Beside] {
            let path = Tree { prefix: &prefix }.program(&own, "bin/program", symbols).unwrap();
            assert!(len(&path) < len(&own) * 3 / 4, "{} of {} bytes", len(&path), len(&own));
            let listed = Command::new(&path).arg("--list").output().unwrap();
            assert!(listed.status.success() && !listed.stdout.is_empty());
            assert_eq!(prefix.join("bin/program.debug").exists(), symbols == Symbols::Beside);
        }
        fs::remove_dir_all(&prefix).unwrap();
    }

    #[test]
    fn pkg_config_files_name_their_prefix() {
        let text = pkg_config(Path::new("/opt/certadm"), "1.2.3");
        assert!(text.starts_with("prefix=/opt/certadm\nlibdir=${prefix}/lib\n"), "{text}");
        assert!(text.contains("\nVersion: 1.2.3\n") && text.contains("-lcertadm"), "{text}");
    }

    /// A prefix with a blank in its name is one word of the compiler's command line.
    #[test]
    fn pkg_config_reads_its_file() {
        let folder = std::env::temp_dir().join(format!("certadm pkg config {}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("certadm.pc"), pkg_config(&folder, "1.2.3")).unwrap();
        let mut command = Command::new("pkg-config");
        let output = command.args(["--cflags", "--libs", "certadm"]).env("PKG_CONFIG_PATH", &folder).output();
        fs::remove_dir_all(&folder).unwrap();
        let Ok(output) = output else {
            println!("skipped: pkg-config is not installed");
            return;
        };
        let said = String::from_utf8(output.stdout).unwrap();
        let place = folder.display().to_string().replace(' ', "\\ ");
        assert_eq!(said.trim(), format!("-I{place}/include -L{place}/lib -lcertadm"));
    }

    #[test]
    fn the_unit_starts_what_was_installed() {
        let unit = own_unit("[Service]\nExecStart=/usr/bin/certadm serve\n", Path::new("/opt/bin/certadm"));
        assert_eq!(unit, "[Service]\nExecStart=/opt/bin/certadm serve\n");
    }
}
