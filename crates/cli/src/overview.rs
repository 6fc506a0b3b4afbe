//! The first page of the help: the verbs by what one wants, a line each.

use clap::Command;

/// What one wants, and the verbs for it: name, and what it does in at most 59 characters.
type Group = (&'static str, &'static [(&'static str, &'static str)]);

const GROUPS: [Group; 6] = [
    (
        "Protect a CA",
        &[
            ("backup", "back up its database while it goes on issuing"),
            ("identity", "fetch what it needs beside its database"),
            ("attach", "put beside a set what nobody can fetch, such as the key"),
            ("copy", "copy sets into another folder, such as a second disk"),
            ("seal", "add a manifest to what certutil -backupDB wrote"),
            ("repository", "keep sets encrypted and deduplicated off this machine"),
            ("sets", "list sets: chains, and the moments they lead back to"),
            ("prune", "delete sets that no rule keeps"),
            ("run", "do what is due for the CAs of a job"),
        ],
    ),
    (
        "Know that it comes back",
        &[
            ("status", "how each CA stands, and what there is an alarm about"),
            ("check", "the same in one line and an exit code, for Nagios"),
            ("verify", "check every byte of sets and the chain of their logs"),
            ("complete", "judge whether everything is there that a lost CA needs"),
            ("rehearse", "rehearse the restore of a backup, and keep evidence"),
            ("drill", "rehearse a loss with a CA made for it"),
            ("doctor", "try every gate on the way to a CA's backup"),
        ],
    ),
    (
        "Recover a lost CA",
        &[
            ("emergency-crl", "make its next CRL from its database and its key"),
            ("restore", "restore sets into a CA's folder"),
            ("recover", "replay the logs of a Windows CA into a clean database"),
            ("gap", "say what it issued and revoked after its last backup"),
            ("apply-revocations", "tell it what was revoked while it was down"),
            ("publish-crl", "let it publish CRLs past its emergency CRL"),
        ],
    ),
    (
        "Look inside",
        &[
            ("show", "what is in a set, database or log: identity, range, health"),
            ("list", "requests, certificates, CRLs of a CA, a set or a database"),
            ("diff", "compare two states of a CA"),
        ],
    ),
    (
        "Run and serve a CA",
        &[
            ("ca", "create a CA, issue, revoke, publish CRLs"),
            ("serve", "serve it to backup programs by the protocol of Windows"),
            ("user", "accounts that may log on to the service"),
        ],
    ),
    (
        "Set up",
        &[
            ("config", "make, check and show the configuration of jobs"),
            ("agent", "do all jobs by their schedules, as a service"),
            ("timers", "write systemd units that do the jobs by timers"),
            ("completions", "write shell completions"),
            ("man", "write the manual pages"),
        ],
    ),
];

/// Gives the command this page in the place of one long list.
pub(crate) fn with_groups(command: Command) -> Command {
    let mut page = String::new();
    for (title, verbs) in GROUPS {
        // Some systems have fewer verbs.
        let there = verbs.iter().filter(|(name, _)| command.find_subcommand(name).is_some());
        page.push_str(&format!("{title}:\n"));
        page.extend(there.map(|(name, does)| format!("  {name:17}  {does}\n")));
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{page}\nOptions:\n{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_verb_is_in_one_group() {
        let mut grouped: Vec<_> =
            GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().map(|(name, _)| *name)).collect();
        grouped.sort_unstable();
        let command = Cli::command();
        let mut verbs: Vec<_> =
            command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect();
        verbs.sort_unstable();
        grouped.retain(|name| verbs.contains(name));
        assert_eq!(grouped, verbs);
        assert!(GROUPS.iter().all(|(_, verbs)| verbs.iter().all(|(_, does)| does.len() <= 59)));
    }
}
