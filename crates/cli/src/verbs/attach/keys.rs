//! Keys that are shown: each is checked against the CA's certificates and tried out, and then forgotten or kept as it came.

use std::path::Path;

use certadm_ca::Recognised;
use certadm_files::{Found, read};
use certadm_identity::{Attachments, Role, SeenKey};
use certadm_recovery::complete::hash_of_key;
use certadm_recovery::{Issuers, MAX_KEY_FILE};
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::{Diagnosis, FileTime, Hresult, hex, pem};
use certadm_store::Folder;
use zeroize::Zeroizing;

use super::args::AttachArgs;
use crate::failure::{Exit, Failure};
use crate::verbs::keys;

pub(super) fn attach(
    args: &AttachArgs,
    issuers: Option<&Issuers>,
    is_ours: bool,
    now: FileTime,
    attachments: &mut Attachments,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let named = args.key.iter().map(|path| (Found::named(path), args.keep));
    let own = args.dir.as_ref().map(Folder::new).map(|folder| folder.own(&folder.key_path()));
    let files: Vec<(Found, bool)> =
        named.chain(own.filter(Found::is_there).map(|path| (path, true))).collect();
    if files.is_empty() {
        return Ok(());
    }
    let passphrases = args.passphrase.read(files.len())?;
    for (at, (found_key, keep)) in files.into_iter().enumerate() {
        let path = found_key.path();
        // Read once: what is kept is what was checked.
        let content = read_key(&found_key)?;
        let file = keys::open_content(path, &content, passphrases.of(at), found)?;
        if keep && file.in_clear {
            return Err(in_clear(path, Some(Recognised::Pkcs12)));
        }
        let mut of_file: Vec<_> = file.keys.into_iter().map(|key| (path.to_owned(), key)).collect();
        if let Some(issuers) = issuers {
            keys::keep_those_of_the_ca(&mut of_file, |key| issuers.has_key(key.public_key()), found);
        }
        let mut seen = Vec::new();
        for (_, key) in &of_file {
            let public = key.public_key();
            if let Some(issuers) = issuers {
                issuers.place_of_key(public, &path.display().to_string())?;
            }
            key.try_out()
                .map_err(|reason| certadm_recovery::Error::UnusableKey { path: path.to_owned(), reason })?;
            seen.push(SeenKey {
                key_identifier: public.identifier().map(|bytes| hex::encode(&bytes)).unwrap_or_default(),
                public_key_sha256: hash_of_key(public),
                seen: now.to_rfc3339(),
                source: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                place: args.place.clone(),
                kept: None,
                is_protected: !file.unprotected,
            });
        }
        if keep && is_ours && !pem::looks_like_pem(&content) {
            // The restore says it, too; then it is late.
            let text = "a restore does not write this key: our CA reads PKCS#8 in PEM alone";
            let remedy = certadm_identity::Error::KeyForm { path: path.to_owned() }.remedy().into_owned();
            let note = Finding::note(Kind::IdentityPart, text).in_file(path);
            found.push(note.remedy(format!("{remedy}; then keep that file, too")));
        }
        if keep {
            let kept = attachments.keep(Role::Key, path, content.to_vec());
            seen.iter_mut().for_each(|key| key.kept = Some(kept.clone()));
        }
        attachments.keys.extend(seen);
    }
    Ok(())
}

/// A key that a person named may come from a pipe; that of the CA's folder is a file of that folder, and no link.
fn read_key(key: &Found) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let content = match key.is_named() {
        true => read::bounded(key, MAX_KEY_FILE),
        false => key.read(MAX_KEY_FILE),
    };
    Ok(Zeroizing::new(content?))
}

pub(super) fn in_clear(path: &Path, kind: Option<Recognised>) -> Failure {
    let remedy = match kind {
        Some(Recognised::Pkcs12) => "openssl pkcs12 -in FILE -nodes | openssl pkcs12 -export -out NEW.p12",
        _ => "openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW.key (-inform der for DER)",
    };
    Failure {
        message: format!("{} holds a private key that is not encrypted, and is not kept", path.display()),
        code: Hresult::NTE_BAD_KEY,
        remedy: format!("encrypt it first: {remedy}"),
        exit: Exit::Refused,
        done: None,
        set: None,
    }
}
