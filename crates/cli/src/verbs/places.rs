//! What a SET on the command line stands for: a folder, or the address of sets in a repository, which are copied into a
//! scratch folder meanwhile.

use std::path::{Path, PathBuf};

use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::Finding;
#[cfg(feature = "repository")]
use certadm_rules::words::shell_word;
use clap::Args;

use crate::failure::Failure;
#[cfg(feature = "repository")]
use crate::known_as;
use crate::output::Output;

/// Where copies of sets from a repository are made.
#[derive(Debug, Default, Args)]
pub(crate) struct ScratchArgs {
    /// Where a copy of sets from a repository is made; it goes away at the end [default: for a restore the CA's folder, else the
    /// system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

impl ScratchArgs {
    /// A folder that was named otherwise.
    pub(crate) fn at(folder: Option<PathBuf>) -> Self {
        Self { scratch: folder }
    }

    /// For a restore into the folder of a CA: unless a place was named, the copy is made where it will stay, so that its files need
    /// not be copied once more. A dry run makes it elsewhere, because nothing changes there.
    pub(crate) fn or_beside(&self, ca: &Path, is_dry_run: bool) -> Self {
        let nearest = || {
            let ca = certadm_files::absolute(ca).ok()?;
            ca.ancestors().find(|folder| folder.is_dir()).map(Path::to_owned)
        };
        let chosen = self.scratch.clone();
        Self { scratch: if is_dry_run { chosen } else { chosen.or_else(nearest) } }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// The folders of sets, those of a repository among them for as long as this lives.
pub(crate) struct Places {
    paths: Vec<PathBuf>,
    #[cfg(feature = "repository")]
    fetched: Vec<(certadm_repository::CaRepository, certadm_repository::Fetched)>,
}

impl Places {
    /// Looks at what was typed. What is there under that name is a path, whatever it looks like.
    ///
    /// # Errors
    /// As [`certadm_repository::CaRepository::fetch`]; usage for an address that is none.
    #[cfg(feature = "repository")]
    pub(crate) fn find(words: &[PathBuf], scratch: &ScratchArgs, output: Output) -> Result<Self, Failure> {
        let mut places = Self { paths: Vec::new(), fetched: Vec::new() };
        for word in words {
            let Some(address) = address(word)? else {
                places.paths.push(word.clone());
                continue;
            };
            let repository = open(&address)?;
            crate::interrupt::watch();
            let folder = scratch.folder();
            let fetched = fetch(&repository, &address.point, &folder, &mut output.progress_on_stderr())?;
            tell_passed_over(&repository);
            places.paths.extend(fetched.sets.iter().cloned());
            places.fetched.push((repository, fetched));
        }
        Ok(places)
    }

    /// The paths as they are: this build knows no repository.
    #[cfg(not(feature = "repository"))]
    pub(crate) fn find(words: &[PathBuf], _scratch: &ScratchArgs, _output: Output) -> Result<Self, Failure> {
        Ok(Self { paths: words.to_vec() })
    }

    /// Whether there are sets, and all of them are copies that go away with this.
    #[cfg(feature = "repository")]
    pub(crate) fn are_copies(&self) -> bool {
        let copies = self.fetched.iter().map(|(_, fetched)| fetched.sets.len()).sum::<usize>();
        copies != 0 && copies == self.paths.len()
    }

    /// This build knows no repository.
    #[cfg(not(feature = "repository"))]
    pub(crate) fn are_copies(&self) -> bool {
        false
    }

    /// Notes in the repositories that the states which were asked for are proven: everything that was given is one state.
    /// Where a vault may only be read, nobody expects a note. Returns what went wrong.
    #[cfg(feature = "repository")]
    pub(crate) fn note_proven(&self) -> Option<Finding> {
        // A state that needed a folder beside the repository is not proven by the repository alone.
        let [(repository, fetched)] = self.fetched.as_slice() else { return None };
        let last = fetched.points.last().filter(|_| fetched.points.len() == self.paths.len())?;
        let error = repository.note_proven(last).err()?;
        let text = format!("the repository has no note that this state is proven: {}", chain_of(&error));
        Some(
            Finding::note(certadm_rules::finding::Kind::Unreadable, text)
                .code(certadm_rules::Diagnosis::hresult(&error))
                .remedy("expire keeps the newest proven state that it knows of; verify again where the vault can be written"),
        )
    }

    /// This build knows no repository.
    #[cfg(not(feature = "repository"))]
    pub(crate) fn note_proven(&self) -> Option<Finding> {
        None
    }

    /// What could not be read beside the sets that were asked for, which came out whole.
    #[cfg(feature = "repository")]
    pub(crate) fn passed_over(&self) -> Vec<Finding> {
        let finding = |(repository, text): (&certadm_repository::CaRepository, String)| {
            Finding::warning(certadm_rules::finding::Kind::Unreadable, text)
                .code(certadm_rules::Hresult::ERROR_INVALID_DATA)
                .in_file(repository.address())
                .remedy(REPAIR)
        };
        let of = |repository| move |text| (repository, text);
        let repositories = self.fetched.iter().map(|(repository, _)| repository);
        let texts =
            repositories.flat_map(|repository| repository.passed_over().into_iter().map(of(repository)));
        texts.map(finding).collect()
    }

    /// This build knows no repository.
    #[cfg(not(feature = "repository"))]
    pub(crate) fn passed_over(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Forgets in the repositories that states are proven which lean on sets of which a verification has found something wrong; where it
    /// says of none, on the first one of each address. Returns what went wrong.
    #[cfg(feature = "repository")]
    pub(crate) fn withdraw_proven(&self, findings: &[Finding]) -> Option<Finding> {
        use certadm_rules::Hresult;
        use certadm_rules::finding::{Kind, Severity};

        // What keeps a verification from going on damages no set, and what it reads of a repository are copies.
        let is_damage = |finding: &&Finding| {
            finding.severity == Severity::Error
                && finding.kind != Kind::Internal
                && finding.code != Hresult::DISK_IO
        };
        let damage: Vec<&Finding> = findings.iter().filter(is_damage).collect();
        let is_in = |set: &Path| {
            let lies_in =
                |finding: &&Finding| finding.place.file.as_deref().is_some_and(|file| file.starts_with(set));
            damage.iter().any(lies_in)
        };
        let is_named = self.paths.iter().any(|set| is_in(set));
        self.fetched.iter().filter(|_| !damage.is_empty()).find_map(|(repository, fetched)| {
            let sets = fetched.sets.iter().zip(&fetched.points).enumerate();
            let wrong = sets.filter(|(at, (set, _))| if is_named { is_in(set) } else { *at == 0 });
            let ids: Vec<String> = wrong.map(|(_, (_, point))| point.id.clone()).collect();
            withdraw(repository, &ids)
        })
    }

    /// This build knows no repository.
    #[cfg(not(feature = "repository"))]
    pub(crate) fn withdraw_proven(&self, _findings: &[Finding]) -> Option<Finding> {
        None
    }

    /// The folders, those of each address as a full set with the log sets that continue it.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

/// What ends it that an index cannot be read.
#[cfg(feature = "repository")]
const REPAIR: &str = "run `certadm repository repair`: it deletes such an index; until then no backup goes into the repository";

/// Warns of indexes that could not be read when sets were read out. Every file was compared all the same.
#[cfg(feature = "repository")]
pub(crate) fn tell_passed_over(repository: &certadm_repository::CaRepository) {
    for text in repository.passed_over() {
        let text = certadm_rules::printable::printable(&text);
        crate::terminal::tell(format_args!("warning: {}: {text}; {REPAIR}\n", repository.address()));
    }
}

/// Forgets in its repository that states are proven which lean on a set that could not be copied out, because it is damaged. It is the one
/// that the failure names. Returns what went wrong.
#[cfg(feature = "repository")]
pub(crate) fn withdraw_proven_of(words: &[PathBuf], failure: &Failure) -> Option<Finding> {
    let set = failure.set.as_ref()?;
    words.iter().find_map(|word| {
        let repository = open(&address(word).ok()??).ok()?;
        let points = repository.readable().ok()?.points.into_iter();
        let ids: Vec<String> =
            points.filter(|point| repository.address_of(point) == *set).map(|point| point.id).collect();
        withdraw(&repository, &ids)
    })
}

/// This build knows no repository.
#[cfg(not(feature = "repository"))]
pub(crate) fn withdraw_proven_of(_words: &[PathBuf], _failure: &Failure) -> Option<Finding> {
    None
}

#[cfg(feature = "repository")]
fn withdraw(repository: &certadm_repository::CaRepository, damaged: &[String]) -> Option<Finding> {
    let error = repository.withdraw_proven(damaged).err()?;
    let text =
        format!("the repository may still have a note that a damaged state is proven: {}", chain_of(&error));
    Some(
        Finding::note(certadm_rules::finding::Kind::Unreadable, text)
            .code(certadm_rules::Diagnosis::hresult(&error))
            .remedy("let nothing expire there until a newer state is proven"),
    )
}

/// The address that a word is; `None` for a path.
///
/// # Errors
/// Usage, when it begins as an address and is none, and when it is a path that is there and the address of a vault that is known.
#[cfg(feature = "repository")]
pub(crate) fn address(word: &Path) -> Result<Option<certadm_repository::Address>, Failure> {
    let parsed = word.to_str().and_then(certadm_repository::Address::parse);
    if parsed.is_none() || word.symlink_metadata().is_err() {
        return Ok(parsed.transpose()?);
    }
    let is_vault = |address: &certadm_repository::Address| vault(&address.vault).is_ok();
    if matches!(&parsed, Some(Ok(address)) if is_vault(address)) {
        let text = format!("{0} is a vault, and a file or folder here has that name, too", word.display());
        let here = shell_word(format_args!("./{}", word.display()));
        let remedy = format!(
            "write {here} for what lies here; for the vault, move that away, or work in another folder"
        );
        return Err(Failure::usage(text, remedy));
    }
    Ok(None)
}

/// The vault of that name.
///
/// # Errors
/// As [`certadm_repository::Profiles::load`], [`certadm_repository::Profiles::vault`] and [`certadm_jobs::Config::load`].
#[cfg(feature = "repository")]
pub(crate) fn vault(name: &str) -> Result<certadm_repository::Vault, Failure> {
    let profiles = certadm_repository::Profiles::load()?;
    match (profiles.vault(name), certadm_jobs::Config::load()) {
        (Ok(profile), config) => {
            let state = config.map_or_else(|_| certadm_jobs::config::default_state(), |config| config.state);
            Ok(certadm_repository::Vault::new(profile.clone()).remembering_in(state))
        }
        (Err(error), Err(certadm_jobs::config::Error::NotThere { .. })) => Err(error.into()),
        // It may stand in certadm.toml.
        (Err(_), config) => Ok(config?.vault(name)?),
    }
}

/// The repository that an address leads to. A key that others can read is told.
///
/// # Errors
/// As [`certadm_repository::Vault::repository`].
#[cfg(feature = "repository")]
pub(crate) fn open(
    address: &certadm_repository::Address,
) -> Result<certadm_repository::CaRepository, Failure> {
    let repository = vault(&address.vault)?.repository(address.ca.as_deref())?;
    crate::secrets::warn_if_exposed(repository.secret_file());
    Ok(repository)
}

/// Copies the sets out that an address leads to. From now on the copies are told by their addresses, and so is a set that cannot be
/// copied out because it is damaged.
///
/// # Errors
/// As [`certadm_repository::CaRepository::select`] and [`certadm_repository::CaRepository::fetch`].
#[cfg(feature = "repository")]
pub(crate) fn fetch(
    repository: &certadm_repository::CaRepository,
    point: &certadm_repository::Selector,
    within: &Path,
    progress: &mut dyn certadm_set::Progress,
) -> Result<certadm_repository::Fetched, Failure> {
    let points = repository.select(point)?;
    let fetched = repository.fetch(&points, within, progress).map_err(|error| {
        let place = match &error {
            certadm_repository::Error::Damaged { place, .. } => place.clone(),
            _ => String::new(),
        };
        let set = points.iter().map(|point| repository.address_of(point)).find(|set| *set == place);
        Failure { set, ..error.into() }
    })?;
    for (set, point) in fetched.sets.iter().zip(&fetched.points) {
        known_as::remember(set, repository.address_of(point));
    }
    Ok(fetched)
}
