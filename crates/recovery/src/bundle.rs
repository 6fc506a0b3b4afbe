//! The folder of an emergency CRL: what is in it, and how it is written (recovery.md 4.3).
//!
//! With the key at hand everything is written at once. Without it ([`Bundle::unsigned`]) the folder holds what is to be
//! signed; [`finish`] takes the signatures and writes the rest.

use std::io::Write;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, Unfinished, durable, read};
use certadm_rules::{hex, pem};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::content::CrlKind;
use crate::error::{Error, Result};
use crate::order::Revocation;
use crate::plan::{Plan, PlannedCrl, signed};
use crate::publish::{self, Place, Ready};
use crate::records::Maker;
use crate::signature::{Algorithm, PrivateKey, PublicKey, der_of_raw};
use crate::x509::{CrlContent, CrlRef};

/// The list of what is to be signed, for [`finish`].
const TO_SIGN: &str = "to-sign.json";
/// What was made of what, and why.
pub const REPORT: &str = "report.json";
/// What the CA is told when it is back, and the orders for the next emergency CRL.
pub const REVOCATIONS: &str = "revocations.json";
/// A CRL of the size that the table holds (ese.md 12).
pub const MAX_CRL: u64 = certadm_ca::MAX_CRL;
const MAX_LIST: u64 = 64 << 20;
/// The longest RSA signature, and some room.
const MAX_SIGNATURE: u64 = 64 << 10;

/// The files of the folder, by their names.
#[derive(Debug, Default)]
pub struct Bundle {
    files: Vec<(String, Vec<u8>)>,
    /// The names of the CRLs that were signed.
    pub crls: Vec<String>,
}

/// Which CRL of a plan it is: `0` for the base CRL of key 0, `0+` for its delta CRL.
#[must_use]
pub fn name_of(plan: &Plan, crl: &PlannedCrl) -> String {
    let index = plan.issuers.iter().nth(crl.issuer).map_or(0, crate::issuer::Issuer::index);
    match crl.kind {
        CrlKind::Base => index.to_string(),
        CrlKind::Delta(_) => format!("{index}+"),
    }
}

impl Bundle {
    /// Signs the CRLs of those keys that are given, and puts everything together. `report` becomes
    /// `report.json`.
    ///
    /// # Errors
    /// [`Error::KeyOfAnotherCa`], [`Error::Signing`].
    pub fn signed(
        plan: &Plan,
        keys: &[(PathBuf, PrivateKey)],
        maker: Maker,
        report: Vec<u8>,
    ) -> Result<Self> {
        let mut places = Vec::new();
        for (path, key) in keys {
            places.push(plan.issuers.place_of_key(key.public_key(), &path.display().to_string())?);
        }
        let mut made = Vec::new();
        for crl in &plan.crls {
            let Some(which) = places.iter().position(|place| *place == crl.issuer) else { continue };
            made.push((name_of(plan, crl), crl.file_name.clone(), crl.sign(plan, &keys[which].1)?));
        }
        let mut bundle = Self::default();
        bundle.publication(&made, &places_of(plan));
        bundle.common(plan, maker, report);
        Ok(bundle)
    }

    /// Puts together what is to be signed elsewhere.
    ///
    /// # Errors
    /// None so far.
    pub fn unsigned(plan: &Plan, maker: Maker, report: Vec<u8>) -> Result<Self> {
        let mut bundle = Self::default();
        let mut list = Vec::new();
        let mut text = String::from(
            "Sign each .tbs file with the key of the CA, bring the signatures here, and finish:\n",
        );
        let mut finish = String::from("certadm emergency-crl finish DIR");
        for crl in &plan.crls {
            let name = name_of(plan, crl);
            let Some(issuer) = plan.issuers.iter().nth(crl.issuer) else { continue };
            let file = format!("{}.tbs", crl.file_name);
            list.push(json!({
                "crl": name,
                "file_name": crl.file_name,
                "sha256": hex::encode(&Sha256::digest(&crl.to_be_signed)),
                "public_key": hex::encode(issuer.public_key().to_der()),
            }));
            text.push_str(&format!(
                "\n{file}: key {}, key id {}, {}, {}\n  openssl dgst -{} -sign KEY{} -out {} {}\n",
                issuer.index(),
                issuer.key_identifier(),
                issuer.public_key().kind_name(),
                crl.algorithm,
                crl.algorithm.hash_name(),
                crl.algorithm.openssl_options(),
                shell_word(&format!("{}.sig", crl.file_name)),
                shell_word(&file),
            ));
            finish
                .push_str(&format!(" --signature {}", shell_word(&format!("{name}={}.sig", crl.file_name))));
            bundle.add(file, crl.to_be_signed.clone());
        }
        text.push_str(&format!("\n{finish}\n"));
        let places: Vec<_> = places_of(plan).iter().map(Place::to_json).collect();
        let value = json!({ "format": 1, "crls": list, "destinations": places });
        bundle.add(TO_SIGN.to_owned(), value.to_string().into_bytes());
        bundle.add("to-sign.txt".to_owned(), text.into_bytes());
        bundle.common(plan, maker, report);
        Ok(bundle)
    }

    fn common(&mut self, plan: &Plan, maker: Maker, report: Vec<u8>) {
        self.add(REPORT.to_owned(), report);
        self.add(REVOCATIONS.to_owned(), Revocation::to_json(&plan.revocations).into_bytes());
        match maker {
            Maker::Windows => {
                self.add("return.cmd".to_owned(), Revocation::to_return_cmd(&plan.revocations).into_bytes());
            }
            Maker::Certadm => {
                self.add("return.sh".to_owned(), Revocation::to_return_sh().into());
            }
        }
    }

    fn publication(&mut self, made: &[(String, String, Vec<u8>)], places: &[Place]) {
        let ready: Vec<_> = made.iter().map(|(crl, file_name, der)| Ready { crl, file_name, der }).collect();
        let text = publish::text(&ready, places);
        let ldif = publish::ldif(&ready, places);
        for (_, file_name, der) in made {
            self.add(format!("{file_name}.crl"), der.clone());
            self.add(format!("{file_name}.pem"), pem::encode("X509 CRL", der).into_bytes());
            self.crls.push(format!("{file_name}.crl"));
        }
        self.add("publish.txt".to_owned(), text.into_bytes());
        if let Some(ldif) = ldif {
            self.add("publish.ldif".to_owned(), ldif.into_bytes());
        }
    }

    fn add(&mut self, name: String, content: Vec<u8>) {
        self.files.push((name, content));
    }

    /// The names of all files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }

    /// Writes a new folder, which is there with everything in it or not at all.
    ///
    /// # Errors
    /// [`Error::File`]; in particular when something of that name is there.
    pub fn write(&self, to: &Path) -> Result<()> {
        if to.symlink_metadata().is_ok() {
            return Err(certadm_files::Error::Exists { path: to.to_owned() }.into());
        }
        if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
        {
            durable::create_dir(parent)?;
        }
        let building = Unfinished::folder(to)?;
        for (name, content) in &self.files {
            durable::write_new(&building.path().join(name), content)?;
        }
        durable::sync_dir(building.path())?;
        Ok(building.place()?)
    }

    /// Adds the files to a folder that is there. None of it is overwritten but what an earlier run has written of fewer CRLs; one that is
    /// there with the same content was written by a run that did not come to its end.
    fn write_into(&self, dir: &Path, earlier: &Self) -> Result<()> {
        let is_earlier = |name: &str, path: &Path| {
            let before = earlier.files.iter().find(|(before, _)| before == name);
            before.is_some_and(|(_, content)| {
                read::bounded(path, content.len() as u64).is_ok_and(|there| there == *content)
            })
        };
        let (mut missing, mut replaced) = (Vec::new(), Vec::new());
        for (name, content) in &self.files {
            let path = dir.join(name);
            if path.symlink_metadata().is_err() {
                missing.push((path, content));
            } else if read::bounded(&path, content.len() as u64).is_ok_and(|there| there == *content) {
                continue;
            } else if is_earlier(name, &path) {
                replaced.push((path, content));
            } else {
                return Err(certadm_files::Error::Exists { path }.into());
            }
        }
        // First, so that a run which is killed here finds them as they were, or as they are to be.
        for (path, content) in replaced {
            durable::replace(&path, content)?;
        }
        for (path, content) in missing {
            let (building, mut file) = Unfinished::file(&path)?;
            file.write_all(content).during("write", building.path())?;
            durable::flush(&file, building.path())?;
            drop(file);
            building.place()?;
        }
        Ok(durable::sync_dir(dir)?)
    }
}

/// A name as one word of a command. In double quotes a shell puts its history in the place of an exclamation mark, which Windows has in
/// many names of CRLs; Windows' own shell knows no others.
fn shell_word(name: &str) -> String {
    match name.contains(['!', '`', '$', '\\', '"']) {
        true => format!("'{}'", name.replace('\'', "'\\''")),
        false => format!("\"{name}\""),
    }
}

fn places_of(plan: &Plan) -> Vec<Place> {
    let index = |place: usize| plan.issuers.iter().nth(place).map_or(0, crate::issuer::Issuer::index);
    plan.destinations
        .iter()
        .map(|destination| Place {
            crl: format!("{}{}", index(destination.issuer), if destination.delta { "+" } else { "" }),
            url: destination.url.clone(),
            certificates: destination.certificates,
        })
        .collect()
}

/// A CRL that waits for its signature.
struct Waiting {
    crl: String,
    file_name: String,
    content: Vec<u8>,
    algorithm: Algorithm,
    key: PublicKey,
}

/// What [`finish`] has done.
#[derive(Debug)]
pub struct Finished {
    /// The files of the CRLs that are signed, by this run or an earlier one.
    pub crls: Vec<String>,
    /// The CRLs that still wait for a signature, such as `0+`.
    pub waiting: Vec<String>,
}

/// Takes the signatures that were made elsewhere over the `.tbs` files of `dir`, checks them, and writes the CRLs.
/// `signatures` are names of CRLs, such as `0` or `0+`, with their files. It can be run again, with those that were missing.
///
/// # Errors
/// [`Error::Folder`] when the folder is not one that waits for signatures; [`Error::WrongSignature`]; [`Error::File`].
pub fn finish(dir: &Path, signatures: &[(String, PathBuf)]) -> Result<Finished> {
    let list = dir.join(TO_SIGN);
    let broken = |reason: String| Error::Folder { path: list.clone(), reason };
    let text = read::bounded(&list, MAX_LIST)?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    let crls = value["crls"].as_array().ok_or_else(|| broken("it has no list `crls`".to_owned()))?;
    let waiting: Vec<Waiting> =
        crls.iter().map(|entry| Waiting::read(dir, entry, &broken)).collect::<Result<_>>()?;
    let places = value["destinations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let places: Option<Vec<Place>> = places.iter().map(Place::of_json).collect();
    let places = places.ok_or_else(|| broken("a destination is malformed".to_owned()))?;
    if let Some((name, _)) = signatures.iter().find(|(name, _)| waiting.iter().all(|crl| crl.crl != *name)) {
        return Err(broken(format!("no CRL {name} waits for a signature")));
    }
    let (mut before, mut made, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for crl in &waiting {
        let there = crl.signed_before(dir);
        let named = |der: Vec<u8>| (crl.crl.clone(), crl.file_name.clone(), der);
        before.extend(there.clone().map(named));
        let given = match signatures.iter().find(|(name, _)| *name == crl.crl) {
            Some((_, path)) => Some(crl.signed_by(path)?),
            None => None,
        };
        match there.or(given) {
            Some(der) => made.push(named(der)),
            None => missing.push(crl.crl.clone()),
        }
    }
    let (mut earlier, mut bundle) = (Bundle::default(), Bundle::default());
    earlier.publication(&before, &places);
    bundle.publication(&made, &places);
    bundle.write_into(dir, &earlier)?;
    Ok(Finished { crls: bundle.crls, waiting: missing })
}

impl Waiting {
    /// The CRL with this signature.
    fn signed_by(&self, path: &Path) -> Result<Vec<u8>> {
        let signature = read::bounded(path, MAX_SIGNATURE)?;
        let candidates = [der_of_raw(&self.key, &signature), signature];
        let good = candidates
            .iter()
            .find(|signature| self.key.verifies(&self.algorithm, &self.content, signature))
            .ok_or_else(|| Error::WrongSignature {
                name: path.display().to_string(),
                index: self.crl.clone(),
            })?;
        Ok(signed(&self.content, &self.algorithm, good)?)
    }

    /// The CRL that an earlier run has written. A signature on a curve is another each time; that one is as good.
    fn signed_before(&self, dir: &Path) -> Option<Vec<u8>> {
        let der = read::bounded(&dir.join(format!("{}.crl", self.file_name)), MAX_CRL).ok()?;
        let crl = CrlRef::parse(&der).ok()?;
        let is_good =
            crl.signed == self.content && self.key.verifies(&self.algorithm, &self.content, crl.signature);
        is_good.then_some(der)
    }

    fn read(dir: &Path, entry: &Value, broken: &dyn Fn(String) -> Error) -> Result<Self> {
        let text = |key: &str| {
            entry[key].as_str().map(str::to_owned).ok_or_else(|| broken(format!("a CRL has no {key}")))
        };
        let (crl, file_name) = (text("crl")?, text("file_name")?);
        if !certadm_rules::names::is_safe_component(&format!("{file_name}.tbs")) {
            return Err(broken(format!("{file_name:?} is no name of a file")));
        }
        let content = read::bounded(&dir.join(format!("{file_name}.tbs")), MAX_CRL)?;
        if hex::encode(&Sha256::digest(&content)) != text("sha256")? {
            return Err(broken(format!("{file_name}.tbs is not what was written")));
        }
        let key = hex::decode(&text("public_key")?).ok_or_else(|| broken("a key is malformed".to_owned()))?;
        let key = PublicKey::from_der(&key).map_err(broken)?;
        let parsed: CrlContent<'_> =
            der::Decode::from_der(&content).map_err(|error: der::Error| broken(error.to_string()))?;
        let algorithm = der::Encode::to_der(&parsed.algorithm)?;
        let algorithm = Algorithm::from_der(&algorithm).map_err(broken)?;
        Ok(Self { crl, file_name, content, algorithm, key })
    }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn a_name_stays_one_word_that_a_shell_leaves_alone() {
        for (name, word) in [
            ("Corp CA(1).tbs", "\"Corp CA(1).tbs\""),
            ("Corp!0028CA.tbs", "'Corp!0028CA.tbs'"),
            ("O'Neil.tbs", "\"O'Neil.tbs\""),
            ("O'Neil!.tbs", "'O'\\''Neil!.tbs'"),
            ("a$b`c.tbs", "'a$b`c.tbs'"),
        ] {
            assert_eq!(shell_word(name), word);
        }
    }
}
