//! Errors as findings: what stopped one part of a check, for a check that goes on with the others.

use std::path::{Path, PathBuf};

use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{Finding, Kind, Place, Spot};
use certadm_rules::{Diagnosis, Hresult};

use crate::error::Error;
use crate::layout::LOCATIONS_FILE;
use crate::signing;

impl Error {
    /// An error of the Windows format in the file at `path`.
    pub fn from_windows(path: &Path, source: certadm_ese::Error) -> Self {
        Self::Windows { path: path.to_owned(), source }
    }

    /// The error as a finding, in the file that it names or else in `file`.
    pub fn to_finding(&self, file: &Path) -> Finding {
        let told = match self {
            Self::NotASet { path, detail } => {
                Told::of(Kind::NotASet, path, format!("not a backup set: {detail}"))
            }
            Self::Mixed { path, word, first, first_word } => {
                let detail =
                    format!("it is {word}, and {} is {first_word}: they do not go together", first.display());
                Told::of(Kind::NotASet, path, detail)
            }
            Self::BadManifest { path, detail } => {
                Told::of(Kind::Manifest, path, format!("the manifest cannot be trusted: {detail}"))
            }
            Self::Damaged { path, detail, .. } => {
                let is_map = path.file_name().is_some_and(|name| name == LOCATIONS_FILE);
                Told::of(if is_map { Kind::RestoreMap } else { Kind::FileChanged }, path, detail.clone())
            }
            Self::Missing { path, .. } => Told::of(Kind::FileMissing, path, "it is missing".to_owned()),
            Self::Windows { path, source } => of_windows(path, source),
            Self::Signing(error) => of_signing(error),
            Self::Store(error) => of_store(error, self),
            Self::File(error) => of_file(error),
            other => {
                Told { kind: kind_of(other.hresult()), place: Place::default(), detail: chain_of(other) }
            }
        };
        let mut finding = Finding::error(told.kind, self.hresult(), told.detail).remedy(self.remedy());
        finding.place = told.place;
        finding.place.file.get_or_insert_with(|| file.to_owned());
        finding
    }
}

/// The note on a set without a manifest.
pub fn incomplete(set: &Path) -> Finding {
    let text = "the set is incomplete: it has no manifest that says which files it should have";
    Finding::note(Kind::Incomplete, text)
        .in_file(set)
        .remedy("take sets with `certadm backup`, which writes a manifest")
}

/// What an error says, with its place taken out of the words.
struct Told {
    kind: Kind,
    place: Place,
    detail: String,
}

impl Told {
    fn of(kind: Kind, file: &Path, detail: String) -> Self {
        Self { kind, place: place_of(file), detail }
    }
}

/// A file, with the generation that its name says.
#[must_use]
pub fn place_of(file: &Path) -> Place {
    let name = file.file_name().and_then(|name| name.to_str());
    let generation = name.and_then(certadm_rules::Generation::from_log_file_name);
    Place {
        file: Some(PathBuf::from(file)),
        spot: generation.map(|generation| Spot::Log(generation.number())),
    }
}

fn of_windows(path: &Path, source: &certadm_ese::Error) -> Told {
    use certadm_ese::Error as Ese;
    let kind = match source {
        Ese::Io(_) => Kind::Unreadable,
        Ese::NotADatabase { .. } => Kind::NotADatabase,
        Ese::Replay { .. } | Ese::UnknownRecord { .. } => Kind::Replay,
        Ese::PageDamaged { .. } => Kind::PageChecksum,
        other => kind_of(other.code().hresult()),
    };
    let place = Place { file: Some(path.to_owned()), spot: source.spot() };
    let detail = match source {
        Ese::Io(_) => chain_of(source),
        other => other.detail(),
    };
    Told { kind, place, detail }
}

fn of_signing(error: &signing::Error) -> Told {
    use signing::Error as Signing;
    let (place, detail) = match error {
        Signing::NotSigned { set, detail } => (set, format!("not signed: {detail}")),
        Signing::Refused { set, misfit } => (set, format!("the signature does not count: {misfit}")),
        Signing::KeyFile { path, .. }
        | Signing::WrongPassphrase { path }
        | Signing::SignersFile { path, .. } => (path, error.to_string()),
    };
    Told::of(Kind::Signature, place, detail)
}

fn of_store(error: &certadm_store::Error, whole: &Error) -> Told {
    use certadm_store::Error as Store;
    match error {
        Store::File(error) => of_file(error),
        Store::LogTwice { path } => {
            Told::of(Kind::LogChain, path, "a second log of one generation".to_owned())
        }
        Store::LogDamaged { path, detail, torn } => {
            Told::of(if *torn { Kind::LogTorn } else { Kind::LogDamaged }, path, detail.clone())
        }
        Store::LogVersion { path, version } => {
            let known = certadm_store::log_file::VERSIONS;
            Told::of(
                Kind::LogVersion,
                path,
                format!("it has format version {version}, this program knows {known}"),
            )
        }
        Store::LogMisnamed { path, found } => {
            Told::of(Kind::LogName, path, format!("it holds generation {found:#x}"))
        }
        Store::Image { detail, .. } => {
            Told { kind: Kind::DatabaseImage, place: Place::default(), detail: detail.clone() }
        }
        Store::Foreign { path, detail } => Told::of(
            Kind::ForeignSchema,
            path,
            format!("it is not the database of a CA as certadm makes it: {detail}"),
        ),
        Store::Sqlite(_) => {
            Told { kind: Kind::DatabaseUnreadable, place: Place::default(), detail: chain_of(whole) }
        }
        other => Told { kind: kind_of(other.hresult()), place: Place::default(), detail: chain_of(whole) },
    }
}

fn of_file(error: &certadm_files::Error) -> Told {
    match error {
        certadm_files::Error::Io { action, path, source } => {
            Told::of(Kind::Unreadable, path, format!("cannot {action} it: {source}"))
        }
        certadm_files::Error::NotAFile { path, what, .. } => {
            Told::of(Kind::NotAFile, path, format!("it is {what}, and a regular file is expected"))
        }
        other => Told { kind: Kind::Unreadable, place: Place::default(), detail: chain_of(other) },
    }
}

/// The kind that a code of the engine stands for (certbcli.md 9.2).
fn kind_of(code: Hresult) -> Kind {
    match code {
        Hresult::MISSING_RESTORE_LOG_FILES
        | Hresult::MISSING_CURRENT_LOG_FILES
        | Hresult::MISSING_LOG_FILE
        | Hresult::REQUIRED_LOG_FILES_MISSING
        | Hresult::STARTING_RESTORE_LOG_TOO_HIGH
        | Hresult::ENDING_RESTORE_LOG_TOO_LOW => Kind::LogMissing,
        Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS
        | Hresult::EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS
        | Hresult::INVALID_LOG_SEQUENCE => Kind::LogChain,
        Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE
        | Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE
        | Hresult::BAD_LOG_SIGNATURE
        | Hresult::BAD_DB_SIGNATURE
        | Hresult::DATABASE_LOG_SET_MISMATCH => Kind::LogForeign,
        Hresult::LOG_CORRUPT_DURING_HARD_RESTORE | Hresult::LOG_FILE_CORRUPT => Kind::LogDamaged,
        Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE => Kind::LogTorn,
        Hresult::LOG_FILE_SIZE_MISMATCH => Kind::LogSize,
        Hresult::BAD_LOG_VERSION => Kind::LogVersion,
        Hresult::LOG_GENERATION_MISMATCH => Kind::LogName,
        Hresult::DATABASE_DIRTY_SHUTDOWN => Kind::DirtyShutdown,
        Hresult::DATABASE_PATCH_FILE_MISMATCH | Hresult::RESTORE_OF_NON_BACKUP_DATABASE => Kind::PatchPage,
        Hresult::BAD_BACKUP_DATABASE_SIZE => Kind::FileSize,
        Hresult::CHECKPOINT_CORRUPT => Kind::Checkpoint,
        Hresult::DATABASE_CORRUPTED => Kind::NotADatabase,
        _ => Kind::Combination,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_error_do_not_repeat_its_place() {
        let path = PathBuf::from("/set/DataBase/edb0001a.log");
        let errors = [
            Error::Damaged { path: path.clone(), detail: "it is short".to_owned(), code: Hresult::E_FAIL },
            Error::Store(certadm_store::Error::LogDamaged {
                path: path.clone(),
                detail: "its checksum is wrong".to_owned(),
                torn: false,
            }),
            Error::Windows {
                path: path.clone(),
                source: certadm_ese::Error::Log {
                    generation: 0x1a,
                    code: certadm_ese::Code::LOG_CORRUPT,
                    problem: "its header is damaged".to_owned(),
                },
            },
        ];
        for error in errors {
            let finding = error.to_finding(Path::new("/set"));
            assert_eq!(finding.place, place_of(&path));
            let text = finding.to_string();
            assert_eq!(
                (text.matches("edb0001a.log").count(), text.matches("0x1a:").count()),
                (1, 0),
                "{text}"
            );
        }
        let bare = Error::Combination { detail: "no log".to_owned(), code: Hresult::MISSING_LOG_FILE };
        let finding = bare.to_finding(Path::new("/set"));
        assert_eq!(finding.kind, Kind::LogMissing);
        assert_eq!(finding.place.file.as_deref(), Some(Path::new("/set")));
    }
}
