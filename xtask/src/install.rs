//! `install`: command, library, header, pkg-config file, manual pages, completions and service unit below a prefix.

use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::library::{self, SONAME};
use crate::loader;
use crate::process;
use crate::tree::{Symbols, Tree};
use crate::workspace::Workspace;

/// What to install, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wish<'a> {
    prefix: &'a str,
    profile: &'a str,
    symbols: Symbols,
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
    workspace.run_cargo(&["build", "--locked", "--profile", profile, "-p", "certadm"])?;
    let prefix = std::path::absolute(prefix).context(format_args!("{prefix} is no path"))?;
    let built = workspace.target().join(if profile == "dev" { "debug" } else { profile });
    library::build(workspace, profile, &built, |arguments| workspace.run_cargo(arguments))?;
    let parts = Parts { workspace, built: &built, symbols, prefix: &prefix, libraries: "lib" };
    let tree = Tree { root: &prefix };
    parts.command(&tree)?;
    parts.library(&tree)?;
    parts.development(&tree)?;
    println!("installed below {}", prefix.display());
    println!("{}", loader::tell(&prefix.join("lib"), SONAME));
    Ok(())
}

/// What is installed, part by part: a package may hold one of them alone.
pub(crate) struct Parts<'a> {
    pub(crate) workspace: &'a Workspace,
    /// Where cargo has put what it built.
    pub(crate) built: &'a Path,
    pub(crate) symbols: Symbols,
    /// The prefix that the files name.
    pub(crate) prefix: &'a Path,
    /// The folder of libraries below the prefix, such as `lib`.
    pub(crate) libraries: &'a str,
}

impl Parts<'_> {
    /// The command, its unit, its completions and its manual pages. The tree's root is the prefix.
    pub(crate) fn command(&self, tree: &Tree<'_>) -> Result<()> {
        let command = tree.program(&self.built.join("certadm"), "bin/certadm", self.symbols)?;
        for name in ["certadm@.service", "certadm-agent.service"] {
            let unit = self.workspace.read(&format!("dist/systemd/{name}"))?;
            let unit = own_unit(&unit, &self.prefix.join("bin/certadm"));
            tree.write(&format!("lib/systemd/system/{name}"), unit)?;
        }
        let socket = self.workspace.path("dist/systemd/certadm@.socket");
        tree.copy(&socket, "lib/systemd/system/certadm@.socket")?;
        for (shell, place) in [
            ("bash", "share/bash-completion/completions/certadm"),
            ("zsh", "share/zsh/site-functions/_certadm"),
            ("fish", "share/fish/vendor_completions.d/certadm.fish"),
        ] {
            tree.write(place, process::output(Command::new(&command).args(["completions", shell]))?)?;
        }
        let manual = tree.folder("share/man")?;
        process::output(Command::new(&command).arg("man").arg(&manual))?;
        Ok(())
    }

    /// What programs need that were built with the library.
    pub(crate) fn library(&self, tree: &Tree<'_>) -> Result<()> {
        let place = format!("{}/{SONAME}", self.libraries);
        tree.program(&self.built.join(SONAME), &place, self.symbols).map(drop)
    }

    /// What building with the library needs.
    pub(crate) fn development(&self, tree: &Tree<'_>) -> Result<()> {
        let Self { workspace, libraries, .. } = self;
        tree.link(SONAME, &format!("{libraries}/libcertadm.so"))?;
        tree.copy(&workspace.path("include/certbcli.h"), "include/certbcli.h")?;
        let answers = pkg_config(self.prefix, libraries, env!("CARGO_PKG_VERSION"));
        tree.write(&format!("{libraries}/pkgconfig/certadm.pc"), answers)?;
        for name in ["backup.c", "restore.c", "portable.h"] {
            let example = workspace.path("examples/c").join(name);
            tree.copy(&example, &format!("share/doc/certadm/examples/{name}"))?;
        }
        Ok(())
    }
}

/// What `pkg-config --cflags --libs certadm` answers from.
fn pkg_config(prefix: &Path, libraries: &str, version: &str) -> String {
    format!(
        "prefix={}\n\
         libdir=${{prefix}}/{libraries}\n\
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

#[cfg(test)]
mod tests {
    use std::fs;

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

    #[test]
    fn pkg_config_files_name_their_prefix() {
        let text = pkg_config(Path::new("/opt/certadm"), "lib", "1.2.3");
        assert!(text.starts_with("prefix=/opt/certadm\nlibdir=${prefix}/lib\n"), "{text}");
        assert!(text.contains("\nVersion: 1.2.3\n") && text.contains("-lcertadm"), "{text}");
    }

    /// A prefix with a blank in its name is one word of the compiler's command line.
    #[test]
    fn pkg_config_reads_its_file() {
        let folder = std::env::temp_dir().join(format!("certadm pkg config {}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("certadm.pc"), pkg_config(&folder, "lib", "1.2.3")).unwrap();
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
