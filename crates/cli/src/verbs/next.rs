//! `certadm` without arguments: what to do next on this machine.

use certadm_jobs::Config;

use super::status;
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output};

/// Says how the CAs of the configuration stand, or how to make one.
pub(crate) fn run(output: Output) -> Result<Done, Failure> {
    let done = match Config::file() {
        Err(_) => {
            output.result("No CA is protected from here: there is no configuration of jobs.");
            output.result("Begin with `certadm config init`, or back a CA up once with `certadm backup`.");
            Done { exit: Exit::Finding, result: serde_json::Value::Null }
        }
        Ok(_) => status::run(&status::StatusArgs::default(), output)?,
    };
    output.line("All verbs: certadm --help");
    Ok(done)
}
