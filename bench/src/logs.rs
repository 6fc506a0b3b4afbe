//! LOGS: what issuing leaves in archived logs, for each certificate.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use certadm_ca::{Authority, Passphrase, Request, Terms};
use certadm_rehearsal::request::for_host;
use certadm_rules::Generation;
use certadm_store::log_file::LogFile;
use certadm_store::{Error, Folder, GroupCommit, Options, Store};

use crate::error::Result;
use crate::lost::{Ca, FILLING};
use crate::run::Bench;
use crate::table::Row;

/// Certificates in the CA before, at full size; smaller with `--size-mib` below 1024.
const BEFORE: u64 = 1_000_000;
/// Certificates that are issued, by so many workers.
const ISSUED: usize = 10_000;
const WORKERS: usize = 8;

/// Issues with logs of the default size into a CA that is large already, for hosts whose names come in no order.
pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let before = BEFORE * bench.options.size.min(1 << 30) / (1 << 30);
    let root = bench.root.join("logs");
    fs::create_dir_all(&root)?;
    Ca::create(bench, &root, before)?;
    let folder = Folder::new(root.join("ca"));
    spread_names(&folder)?;
    let passphrase = Passphrase::from_file(&root.join("pass"))?;
    let authority = Authority::open(&folder, &passphrase)?;
    let name =
        |number: u64| format!("host{:08}.bench.example", number.wrapping_mul(0x9e37_79b9) % 100_000_000);
    let requests: Vec<Request> =
        (0..ISSUED as u64).map(|number| for_host(&name(number))).collect::<std::result::Result<_, _>>()?;
    let store = Store::open(&folder, Options::default())?;
    store.roll()?;
    let first = store.current_generation();
    let group = GroupCommit::new(store.writer()?);
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let work = || -> std::result::Result<(), String> {
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let issued = authority.issue_grouped(&group, request, &Terms::new("bench"), certadm_store::now());
            issued.map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker failed".to_owned())?)
    })?;
    let rate = f64::from(u32::try_from(ISSUED)?) / begun.elapsed().as_secs_f64();
    drop(group);
    store.roll()?;
    store.wait_until_packed();
    let (mut plain, mut packed, mut logs) = (0, 0, 0);
    for number in first.number()..store.current_generation().number() {
        let Some(generation) = Generation::new(number) else { continue };
        let header = *LogFile::open(folder.log_path(generation))?.header();
        plain += header.plain_len();
        packed += header.file_len();
        logs += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for a person")]
    let each = |bytes: u64| bytes as f64 / 1024.0 / ISSUED as f64;
    let title = format!("LOGS KiB for each certificate beside {before} others");
    bench.rows.push(Row::plain(&title, each(packed)).goal("<= 4"));
    bench.rows.push(Row::plain("LOGS the same as it was rolled, before it was packed", each(plain)));
    bench.rows.push(Row::plain("LOGS rolled", f64::from(logs)));
    bench.rows.push(Row::plain("LOGS certificates a second", rate));
    Ok(fs::remove_dir_all(&root)?)
}

/// Gives each certificate a name of its own, in no order: then each new one belongs onto another page of their index.
fn spread_names(folder: &Folder) -> Result<()> {
    let store = Store::open(folder, FILLING)?;
    let mut writer = store.writer()?;
    writer.commit(|transaction| {
        let name = "printf('host%08d.bench.example', RequestID * 40503001 % 100000000)";
        transaction
            .execute(&format!("UPDATE Certificates SET CommonName = {name} WHERE RequestID > 1"), [])?;
        Ok::<_, Error>(())
    })?;
    drop(writer);
    Ok(store.close()?)
}
