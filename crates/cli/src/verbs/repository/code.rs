//! Recovery codes: made, and given to a person once.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use certadm_files::{Access, IoContext, durable};
use certadm_repository::{Secret, recovery_code};
use clap::Args;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output::Output;
use crate::terminal;

/// Where a new recovery code goes.
#[derive(Debug, Args)]
pub(super) struct CodeArgs {
    /// Write the recovery code to this new file, for its owner alone, instead of showing it and asking for a part of it
    #[arg(long, value_name = "FILE")]
    pub(super) recovery_file: Option<PathBuf>,
}

impl CodeArgs {
    /// Refuses before anything is done where there is nobody to show the code to.
    ///
    /// # Errors
    /// Usage.
    pub(super) fn refuse_nowhere(&self, output: Output) -> Result<(), Failure> {
        if self.recovery_file.is_none() && (output.json || !terminal::can_ask()) {
            let text = "there is no terminal to show the recovery code on";
            return Err(Failure::usage(
                text,
                "add --recovery-file FILE, and keep that file off this machine",
            ));
        }
        Ok(())
    }

    /// Makes a code, gives it to a person, and then does with it what it is for. When that fails and the code opens nothing, its file
    /// goes. Where `opens` cannot rule that out, it stays: the code may be the only one by then. `repository` is the address.
    ///
    /// # Errors
    /// When the code cannot be written or was not written down; those of `work`.
    pub(super) fn with_code<T>(
        &self,
        output: Output,
        repository: &str,
        work: impl FnOnce(&Zeroizing<String>) -> certadm_repository::Result<T>,
        opens: impl FnOnce(&Secret) -> certadm_repository::Result<bool>,
    ) -> Result<T, Failure> {
        let code = recovery_code()?;
        match &self.recovery_file {
            // Before anything is stored under it.
            Some(file) => durable::create(file, format!("{}\n", *code).as_bytes(), Access::Owner)?,
            None => show_and_ask(&code, output)?,
        }
        work(&code).map_err(|error| {
            let error = Failure::from(error);
            let place = self.recovery_file.as_deref().unwrap_or(Path::new("the recovery code"));
            if matches!(opens(&Secret::from_password(&code, place)), Ok(false)) {
                self.recovery_file.iter().for_each(|file| drop(std::fs::remove_file(file)));
                return error;
            }
            let kept = match &self.recovery_file {
                Some(file) => format!("the recovery code in {}", file.display()),
                None => "the recovery code that was shown".to_owned(),
            };
            Failure {
                message: format!("{}; {kept} may open the repository already", error.message),
                remedy: format!(
                    "keep that code; `certadm repository key list {}` says which keys there are; then: {}",
                    certadm_rules::words::shell_word(repository),
                    error.remedy
                ),
                ..error
            }
        })
    }

    /// Says where the code is.
    pub(super) fn tell(&self, output: Output) {
        if let Some(file) = &self.recovery_file {
            output.line(format!(
                "Its recovery code is in {}: print it or move it off this machine. Without key and code nothing can be read.",
                file.display()
            ));
        }
    }
}

/// The words of a code that are asked for.
const ASKED: [usize; 3] = [4, 13, 22];
/// Words in a line, where a code is shown.
const IN_LINE: usize = 6;

/// Shows the code once, and makes sure that it was written down: three of its words are asked for.
fn show_and_ask(code: &str, output: Output) -> Result<(), Failure> {
    output.result("The recovery code opens the repository when the key file is lost. Write it down; it is not shown again:");
    output.result("");
    let words: Vec<&str> = code.split(' ').collect();
    for (line, part) in words.chunks(IN_LINE).enumerate() {
        let numbered = part.iter().enumerate().map(|(place, word)| {
            let number = line * IN_LINE + place + 1;
            Zeroizing::new(format!("{number:>4} {word:<8}"))
        });
        let row = Zeroizing::new(numbered.fold(String::new(), |row, word| row + &word));
        output.result(row.trim_end());
    }
    output.result("");
    for number in ASKED {
        terminal::tell(format_args!("Word {number} of the code: "));
        let mut answer = Zeroizing::new(String::new());
        let terminal = Path::new("the terminal");
        std::io::stdin().lock().read_line(&mut answer).during("ask on", terminal)?;
        if words.get(number - 1).is_none_or(|word| !answer.trim().eq_ignore_ascii_case(word)) {
            let text = "that is not what was shown; nothing was changed in the vault";
            return Err(Failure::usage(text, "start again, and write the new code down"));
        }
    }
    Ok(())
}
