//! `certadm repository init`: the repository of a CA, and the code that opens it when everything else is lost.

use std::path::PathBuf;

use certadm_client::own_host_name;
use certadm_repository::Label;
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::code::CodeArgs;
use super::named::address;
use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::places;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The vault, such as vault:
    #[arg(value_name = "VAULT:")]
    vault: PathBuf,
    /// The CA's name
    #[arg(long, value_name = "NAME")]
    ca: Option<String>,
    /// After the theft of a key: make the repository that follows the newest one of this CA, with a key of its own. The CA's
    /// name leads to it from now on
    #[arg(long)]
    next: bool,
    /// Make it under the key that is here already: because another vault has the same key files, because the making of the repository was
    /// cut off, or because it is lost for good. Without this a key that is here says that the repository is not mounted, or gone
    #[arg(long, conflicts_with = "next")]
    reuse_key: bool,
    #[command(flatten)]
    code: CodeArgs,
}

pub(super) fn run(args: &InitArgs, output: Output) -> Result<Done, Failure> {
    let address = address(&args.vault)?;
    let ca = args.ca.clone().or(address.ca);
    let Some(ca) = ca else {
        return Err(Failure::usage("no CA is named", "add --ca 'NAME OF THE CA'"));
    };
    args.code.refuse_nowhere(output)?;
    let vault = places::vault(&address.vault)?;
    // Otherwise there would be a code that opens nothing.
    vault.look(&ca)?;
    let host = own_host_name();
    let label = Label { host: &host, user: "recovery code" };
    let make = |code: &Zeroizing<String>| match (args.next, args.reuse_key) {
        (true, _) => vault.create_next(&ca, code, label),
        (_, true) => vault.create_under_known_key(&ca, code, label),
        _ => vault.create(&ca, code, label),
    };
    let repository = args
        .code
        .with_code(output, &format!("{}:{ca}", address.vault), make, |code| vault.is_opened_by(&ca, code))?;
    output.line(format!("Made the repository {} in {}.", repository.address(), vault.place()));
    if let Some(file) = vault.key_file(repository.name()) {
        output.line(format!(
            "Its key is in {}: backups need it. Whoever has it can read the sets.",
            file.display()
        ));
    }
    let follows = args.next.then(|| repository.before()).flatten();
    if let Some(follows) = &follows {
        output.line(format!(
            "It follows {follows}, which stays as it is. Take a full backup now; {ca} leads here."
        ));
    }
    args.code.tell(output);
    Ok(Done::good(json!({
        "repository": repository.address(),
        "follows": follows,
        "place": vault.place(),
        "key_file": vault.key_file(repository.name()).as_deref().map(path_text),
        "recovery_file": args.code.recovery_file.as_deref().map(path_text),
    })))
}
