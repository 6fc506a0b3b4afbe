//! A scratch CA, its service as a process, and C programs beside it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use certadm_tests::command;
use tempfile::TempDir;

/// The folder of this package.
pub(crate) const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(PACKAGE).join("../..").join(path)
}

/// The library under test: cargo puts it beside this test.
pub(crate) fn library() -> PathBuf {
    deps().join("libcertadm.so")
}

fn deps() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// The command.
pub(crate) fn certadm() -> &'static Path {
    command::binary(deps().with_file_name("here").to_str().unwrap())
}

/// Compiles a program of this repository, with every warning an error.
pub(crate) fn compile(compiler: &str, source: &Path, program: &Path, flags: &[&str]) {
    // The language is C99, but for literals (docs/c-api.md).
    let language: &[&str] = if compiler.ends_with("g++") {
        &["-x", "c++", "-std=c++17"]
    } else {
        &["-x", "c", "-std=c99", "-pedantic"]
    };
    let mut command = Command::new(compiler);
    command.args(["-Wall", "-Wextra", "-Werror", "-g", "-O1"]).args(language);
    for folder in ["include", "examples/c"] {
        command.arg("-I").arg(repository(folder));
    }
    command.arg(source).arg("-o").arg(program).args(["-x", "none"]).args(flags);
    good(&mut command);
}

/// The source of an example or a test program.
pub(crate) fn source(name: &str) -> PathBuf {
    match repository(&format!("examples/c/{name}.c")) {
        example if example.exists() => example,
        _ => Path::new(PACKAGE).join(format!("tests/c/{name}.c")),
    }
}

/// Runs a command that has to go well; what it printed.
pub(crate) fn good(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = both(&output);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

pub(crate) fn both(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// A work folder with a CA in `ca`, and the client's configuration for it.
pub(crate) struct World {
    dir: TempDir,
    service: Option<Child>,
}

impl World {
    pub(crate) fn new() -> Self {
        certadm();
        let world = Self { dir: certadm_tests::scratch(), service: None };
        fs::write(world.path("pass"), "correct horse battery\n").unwrap();
        let (socket, ca) = (world.path("socket"), world.path("ca"));
        let config = format!("socket = {socket:?}\nca_dir = {ca:?}\n");
        fs::write(world.path("client.toml"), config).unwrap();
        world.certadm("ca init --dir {ca} --name Test-CA --passphrase-file {pass}");
        world.let_callers_stop_it();
        world
    }

    /// With its service running.
    pub(crate) fn serving() -> Self {
        let mut world = Self::new();
        world.start();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command with arguments separated by blanks; a word in braces is a path of the work folder.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(certadm());
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        for word in line.split_whitespace() {
            match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                Some(name) => command.arg(self.path(name)),
                None => command.arg(word),
            };
        }
        command
    }

    pub(crate) fn certadm(&self, line: &str) -> String {
        good(&mut self.command(line))
    }

    /// Starts the service and waits until it listens.
    pub(crate) fn start(&mut self) {
        self.start_with("");
    }

    /// Starts the service with further options and gives its address.
    pub(crate) fn start_with(&mut self, options: &str) -> String {
        let mut command =
            self.command(&format!("serve --dir {{ca}} --socket {{socket}} --listen 127.0.0.1:0 {options}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.next().unwrap_or_else(|| panic!("the service does not start")).unwrap();
        assert!(said.starts_with("Listening"), "{said}");
        assert!(lines.next().is_some(), "it does not say where its socket is");
        self.service = Some(child);
        said.split_whitespace().nth(2).unwrap().to_owned()
    }

    /// Lets callers over the network stop the service (ServerControl), too.
    pub(crate) fn let_callers_stop_it(&self) {
        let path = self.path("ca/ca.toml");
        let text = fs::read_to_string(&path).unwrap();
        let open = text.replace("shutdown = \"local\"", "shutdown = true");
        assert_ne!(open, text);
        fs::write(path, open).unwrap();
    }

    /// Gives the CA an account `backup` with this role.
    pub(crate) fn account(&self, role: &str) {
        fs::write(self.path("password"), "Pa55-word-of-tests\n").unwrap();
        self.certadm(&format!("user add --dir {{ca}} backup --role {role} --password-file {{password}}"));
    }

    /// Names the service at `address` `network` in the client's configuration.
    pub(crate) fn name_network(&self, address: &str) {
        let (socket, password) = (self.path("socket"), self.path("password"));
        let config = format!(
            "socket = {socket:?}\n[server.network]\nhost = {address:?}\nuser = 'backup'\npassword_file = {password:?}\n"
        );
        fs::write(self.path("client.toml"), config).unwrap();
    }

    /// Kills the service.
    pub(crate) fn kill(&mut self) {
        if let Some(mut service) = self.service.take() {
            service.kill().ok();
            service.wait().unwrap();
        }
    }

    /// Waits for a service that was told to stop.
    pub(crate) fn wait(&mut self) {
        let status = self.service.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// An example or test program, compiled as C. It loads the library at run time.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let program = self.path(name);
        compile("gcc", &source(name), &program, &["-ldl", "-lpthread"]);
        program
    }

    /// Gives a command what a C program needs to find library and service.
    pub(crate) fn equip<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(self.dir.path())
            .env("CERTADM_CONFIG", self.path("client.toml"))
            .env("CERTADM_LIBRARY", library())
    }

    /// Runs a C program that has to go well.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) -> String {
        good(self.equip(&mut Command::new(program)).args(arguments))
    }

    /// Runs a C program under valgrind: no error, no leak.
    pub(crate) fn run_checked(&self, program: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
            .args([
                "--show-leak-kinds=definite,indirect,possible",
                "--errors-for-leak-kinds=definite,indirect,possible",
            ])
            .arg(format!("--suppressions={PACKAGE}/tests/c/valgrind.supp"))
            .arg(program)
            .args(arguments);
        good(self.equip(&mut command))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a program is installed; says so when it is not.
pub(crate) fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {program} is not installed; `cargo xtask setup` installs it");
    }
    found
}
