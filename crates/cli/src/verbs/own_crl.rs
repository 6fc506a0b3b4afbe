//! A CRL of our own CA, for the commands that publish one.

use certadm_ca::health::keys_without_crl;
use certadm_ca::{Authority, CrlOptions};
use certadm_rules::finding::Finding;
use certadm_rules::words::counted;
use certadm_store::Folder;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, path_text};
use crate::verbs::live;

/// Publishes a CRL and tells of it; as JSON without what a restore that waited did, which comes beside it.
pub(crate) fn publish(
    folder: &Folder,
    authority: &Authority,
    options: CrlOptions,
    found: &mut Vec<Finding>,
    output: Output,
) -> Result<(Value, Value), Failure> {
    let (mut writer, recovered) = live::open_writer(folder, output)?;
    found.extend(keys_without_crl(writer.connection(), folder, None)?);
    let published = authority.publish_crl_with(&mut writer, certadm_store::now(), options)?;
    drop(writer);
    found.extend(published.findings);
    let next_update = published.next_update.to_rfc3339();
    output.line(format!(
        "CRL {} with {} is in {}, valid until {next_update}.",
        published.number,
        counted(published.entries as u64, "entry"),
        published.path.display()
    ));
    let crl = json!({
        "number": published.number,
        "entries": published.entries,
        "file": path_text(&published.path),
        "this_update": published.this_update.to_rfc3339(),
        "next_update": next_update,
    });
    Ok((crl, recovered))
}
