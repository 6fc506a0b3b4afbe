//! What those see who rely on the CA while it is lost: the CRL that it published last, and the emergency CRL.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certadm_ca::{Authority, Reason, RevocationOrder, Serial, revoke};
use certadm_files::{IoContext, durable};
use certadm_recovery::{Issuers, Options, Plan, PrivateKey, PublishedCrl, Records};
use certadm_rules::FileTime;
use certadm_set::Opened;
use certadm_set::scratch::Recovered;
use certadm_store::Store;

use crate::failure::Failure;

/// The CRL that relying parties have when the CA is lost, and the revocation in it that no set knows.
pub(super) struct Published {
    pub(super) path: PathBuf,
    pub(super) revoked: Serial,
}

/// Who revokes in a drill.
const REVOKER: &str = "drill";

/// Revokes a certificate after the last backup, and publishes the CRL that says so: what a CRL made from the backup alone
/// would undo.
pub(super) fn publish(
    store: &Store,
    authority: &Authority,
    serial: &str,
    root: &Path,
) -> Result<Published, Failure> {
    let revoked: Serial = serial.parse()?;
    let crl = revoke_and_publish(store, authority, &revoked)?;
    let path = root.join("published.crl");
    durable::write_new(&path, &crl.der)?;
    Ok(Published { path, revoked })
}

/// Revokes a certificate, and publishes the CRL that says so.
pub(super) fn revoke_and_publish(
    store: &Store,
    authority: &Authority,
    serial: &Serial,
) -> Result<certadm_ca::Publication, Failure> {
    let mut writer = store.writer()?;
    let (reason, now) = (Reason::KEY_COMPROMISE, certadm_store::now());
    let order = RevocationOrder { serial, reason, by: REVOKER, now, effective: None };
    writer.commit(|transaction| revoke(transaction, &order))?;
    Ok(authority.publish_crl(&mut writer, certadm_store::now())?)
}

/// The emergency CRL, and how long it took from the loss until it was there and checked.
#[derive(Clone, Debug)]
pub(super) struct Emergency {
    pub(super) path: PathBuf,
    pub(super) took: Duration,
    pub(super) number: i64,
    pub(super) entries: usize,
    pub(super) next_update: FileTime,
}

/// Makes the emergency CRL out of the sets, the CRL that was published and the key, on the time of those who wait for it,
/// which began at `lost`. Then it is read as they read it: it is the CA's, it is in force, and it lists what was revoked after
/// the last backup.
pub(super) fn emergency(
    sets: &[PathBuf],
    key: &PrivateKey,
    published: &Published,
    root: &Path,
    lost: Instant,
) -> Result<Emergency, Failure> {
    let now = certadm_store::now();
    let last = PublishedCrl::parse(
        "that was published last",
        &fs::read(&published.path).during("read", &published.path)?,
    )?;
    let Opened::Ours(opened) = certadm_set::open(sets)? else {
        return Err(Failure::internal("the drill's sets are not its own"));
    };
    let recovered = Recovered::of(&opened)?;
    let asked: BTreeSet<Serial> = last.serials()?;
    let records = Records::of_ours(recovered.connection(), now, asked)?;
    let issuers = Issuers::of(&records)?;
    issuers.place_of_key(key.public_key(), "the drill's key")?;
    let plan = Plan::new(issuers, Some(&records), &[last], &Options::new(now))?;
    let planned = plan.crls.first().ok_or_else(|| Failure::internal("the drill's CA needs no CRL"))?;
    let path = root.join("emergency.crl");
    durable::write_new(&path, &planned.sign(&plan, key)?)?;
    let read = PublishedCrl::parse("of the drill", &fs::read(&path).during("read", &path)?)?;
    read.place_among(&plan.issuers)?;
    let serials = read.serials()?;
    let is_in_force = read.next_update().is_some_and(|end| now < end);
    if !is_in_force || !serials.contains(&published.revoked) {
        return Err(Failure::internal("the emergency CRL does not say what was revoked"));
    }
    Ok(Emergency {
        path,
        took: lost.elapsed(),
        number: plan.number.number,
        entries: serials.len(),
        next_update: planned.dates.next_update,
    })
}
