//! The copy of the configuration that the agent's processes read, so that a mistake in the file stops none of them.

use std::path::PathBuf;

use certadm_files::durable;

use super::{Config, Error};

/// The copy that the agent's processes read, in the folder of records.
const COPY: &str = "agent.toml";

impl Config {
    /// Writes the text that was read into the folder of records, so that processes that are started later go on by it, whatever becomes
    /// of the file. The file says of which one it is a copy: paths in it still begin at that one's folder. It may hold addresses with
    /// tokens, and is its owner's alone.
    ///
    /// # Errors
    /// Those of the system; the file itself is then read as before.
    pub fn keep(&mut self) -> certadm_files::Result<()> {
        // A path that is no text cannot be named in TOML.
        let Some(original) = self.path.to_str() else { return Ok(()) };
        let begin = match self.is_copy {
            true => String::new(),
            false => format!("copy-of = {}\n", toml::Value::from(original)),
        };
        let copy = self.copy();
        // Until it is written.
        self.source.clone_from(&self.path);
        durable::create_dir(&self.state)?;
        let text = self.text.strip_prefix('\u{feff}').unwrap_or(&self.text);
        durable::replace_private(&copy, format!("{begin}{text}").as_bytes())?;
        self.source = copy;
        Ok(())
    }

    /// Whether the file that processes read is there: that one, or the copy.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.source == self.path || self.source.exists()
    }

    /// Removes what [`Config::keep`] has written.
    ///
    /// # Errors
    /// Those of the system.
    pub fn let_go(&self) -> certadm_files::Result<()> {
        durable::remove_if_present(&self.copy())
    }

    fn copy(&self) -> PathBuf {
        self.state.join(COPY)
    }

    /// Why the file of which this is a copy cannot be read; `None` where it can.
    #[must_use]
    pub fn why_unreadable(&self) -> Option<Error> {
        if self.source == self.path { None } else { Self::from_file(&self.path).err() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Target;

    #[test]
    fn a_copy_means_the_same_as_the_file_and_outlives_it() {
        let dir = certadm_files::scratch::for_test();
        let path = dir.path().join("a folder's/certadm.toml");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let text = "\u{feff}state = 'state'\n[ca.web]\ndir = 'ca'\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'\n[repository.vault]\nurl = 'file:///x'\nkey-file = 'k'\n";
        std::fs::write(&path, text).unwrap();
        let mut config = Config::from_file(&path).unwrap();
        assert_eq!(config.source, config.path);
        config.keep().unwrap();
        assert_eq!(config.source, path.parent().unwrap().join("state/agent.toml"));
        std::fs::write(&path, "x").unwrap();
        // Whoever reads a copy may make one, too.
        let mut copy = Config::from_file(&config.source).unwrap();
        for _ in 0..2 {
            let folder = copy.path.parent().unwrap();
            assert_eq!((&copy.path, &copy.source), (&path, &config.source));
            assert_eq!(copy.job("j").unwrap().to, [Target::Folder(folder.join("sets"))]);
            let vault = copy.repositories.vault("vault").unwrap();
            assert_eq!(vault.key_file("CA"), Some(folder.join("k")));
            assert!(copy.why_unreadable().unwrap().to_string().contains("line 1"), "it is a mistake there");
            copy.keep().unwrap();
            copy = Config::from_file(&copy.source).unwrap();
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&copy.source).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, text).unwrap();
        assert!(copy.why_unreadable().is_none());
        // One that was lost is written again, by whoever has written it and by whoever has read it.
        for config in [&mut config, &mut copy] {
            std::fs::remove_dir_all(&config.state).unwrap();
            assert!(!config.is_kept());
            config.keep().unwrap();
            assert_eq!(Config::from_file(&config.source).unwrap().path, path);
        }
        // Without room for it the file itself is read.
        std::fs::remove_dir_all(&config.state).unwrap();
        std::fs::write(&config.state, "").unwrap();
        assert!(config.keep().is_err() && config.is_kept());
        assert_eq!(config.source, path);
        std::fs::remove_file(&config.state).unwrap();
        copy.keep().unwrap();
        copy.let_go().unwrap();
        assert!(!copy.source.exists());
    }
}
