//! The name that a CA has of its own, by which vaults know it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use certadm_rules::names::{folder_name, sanitize};

use super::Name;

/// The name of a CA of its own, sanitized, as vaults have it. A folder is asked for it when somebody needs the name, and not before: one that hangs must
/// keep nobody from reading the configuration.
#[derive(Clone, Debug)]
pub(super) struct OwnName {
    /// What the configuration says, or has to say because no folder of this machine tells it.
    given: Option<String>,
    /// The folder that tells it, and what counts where it tells none.
    folder: PathBuf,
    otherwise: String,
    /// What it has told.
    told: OnceLock<String>,
}

impl OwnName {
    /// That of a CA whose section has the name `section` and says `name`; `folder` is the CA's, where it is on this machine.
    pub(super) fn of(section: &Name, name: Option<&str>, folder: Option<&Path>) -> Self {
        let otherwise = folder_name(&sanitize(section.as_str()));
        let (given, folder) = match (name, folder) {
            (Some(own), _) => (Some(folder_name(&sanitize(own))), PathBuf::new()),
            (None, Some(folder)) => (None, folder.to_owned()),
            (None, None) => (Some(otherwise.clone()), PathBuf::new()),
        };
        Self { given, folder, otherwise, told: OnceLock::new() }
    }

    /// The name, where it is known without a look at the CA's folder.
    pub(super) fn given(&self) -> Option<&str> {
        self.given.as_deref()
    }

    /// The name. Whoever is first looks into the CA's folder, and others do not wait for him.
    pub(super) fn get(&self) -> &str {
        if let Some(name) = self.given() {
            return name;
        }
        if self.told.get().is_none() {
            let name = self.look().unwrap_or_else(|| self.otherwise.clone());
            // Somebody else may have been faster, and says the same.
            self.told.set(name).ok();
        }
        self.told.get().map_or(&self.otherwise, String::as_str)
    }

    /// The name of a CA of ours: that of its database. A lost CA tells none, so that `name` has to.
    fn look(&self) -> Option<String> {
        let database = certadm_store::Folder::new(&self.folder).database_path().ok()?;
        Some(folder_name(database.file_stem()?.to_str()?))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Config;

    #[test]
    fn reading_a_configuration_looks_into_no_folder_of_a_ca() {
        let dir = certadm_files::scratch::for_test();
        let text = "[ca]\nweb = { dir = 'ca' }\nnamed = { dir = 'ca', name = 'My CA' }\nfar = { server = 'far' }\n\
            [job.j]\nca = 'all'\nto = 'sets'\nfull = 'hourly'";
        let read = || Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
        // What is there when the file is read counts for nothing: it is looked at when somebody asks.
        let config = read();
        fs::create_dir_all(dir.path().join("ca/database")).unwrap();
        fs::write(dir.path().join("ca/database/Corp-CA.db"), "").unwrap();
        let own = |config: &Config, ca: &str| config.ca(ca).unwrap().own_name().to_owned();
        assert_eq!(own(&config, "web"), "Corp-CA");
        assert_eq!([own(&config, "named"), own(&config, "far")], ["My CA", "far"]);
        let given = ["web", "named", "far"].map(|ca| config.ca(ca).unwrap().given_name().is_some());
        assert_eq!(given, [false, true, true]);
        // A run asks once.
        fs::remove_dir_all(dir.path().join("ca")).unwrap();
        assert_eq!((own(&config, "web"), own(&read(), "web")), ("Corp-CA".to_owned(), "web".to_owned()));
    }
}
