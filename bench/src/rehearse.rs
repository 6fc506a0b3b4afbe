//! REHEARSE: a rehearsal of a set of our own, against what `verify` and `restore` of it take together.

use std::path::Path;

use crate::data::CaFolder;
use crate::error::Result;
use crate::process::{run, wait_until_idle};
use crate::run::{Bench, remove};
use crate::table::{Row, Samples};

/// Runs the rows, if they are wanted.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    if !bench.wants("REHEARSE") {
        return Ok(());
    }
    let root = bench.root.join("rehearse");
    let (ca, set, back, kept) = (root.join("ca"), root.join("set"), root.join("back"), root.join("kept"));
    std::fs::create_dir_all(&kept)?;
    let pass = root.join("pass");
    std::fs::write(&pass, "passphrase of the benchmarks\n")?;
    let folder = CaFolder::of_a_ca(&bench.certadm, "Bench", &ca, &pass, bench.options.size)?;
    for name in ["ca.toml", "ca.crt", "ca.key"] {
        std::fs::copy(ca.join(name), kept.join(name))?;
    }
    // The made certificates are none: as requests that failed they take the same room, and nobody checks them.
    folder.fail_all()?;
    let backup = ["backup".as_ref(), "--dir".as_ref(), ca.as_os_str(), "--to".as_ref(), set.as_os_str()];
    run(&bench.certadm, backup)?;
    let (mut verify, mut restore, mut rehearse) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..bench.options.rounds {
        settle()?;
        verify.add(run(&bench.certadm, ["verify".as_ref(), set.as_os_str()])?);
        remove(&back)?;
        copy_parts(&kept, &back)?;
        settle()?;
        let args =
            ["restore".as_ref(), "--from".as_ref(), set.as_os_str(), "--dir".as_ref(), back.as_os_str()];
        restore.add(run(&bench.certadm, args)?);
        settle()?;
        let args = ["rehearse".as_ref(), set.as_os_str(), "--within".as_ref(), root.as_os_str()];
        let identity =
            ["--identity".as_ref(), kept.as_os_str(), "--passphrase-file".as_ref(), pass.as_os_str()];
        rehearse.add(run(&bench.certadm, args.into_iter().chain(identity))?);
    }
    let budget = verify.median() + restore.median();
    let ratio = rehearse.median() / budget;
    bench.rows.push(Row::plain("REHEARSE seconds / (verify + restore)", ratio).goal("<= 1.5"));
    for (name, samples) in [("rehearse", &rehearse), ("verify", &verify), ("restore", &restore)] {
        bench.rows.push(Row::plain(&format!("REHEARSE, seconds of {name}"), samples.median()));
    }
    bench.rows.push(Row::plain("MEM peak of rehearse, MiB", rehearse.peak_mib()).goal("<= 64"));
    remove(&root)
}

/// Waits until the disk has what was written before, and nobody else works: a restore would wait for the writes of the one
/// before it.
fn settle() -> Result<()> {
    run(Path::new("sync"), [""; 0])?;
    wait_until_idle();
    Ok(())
}

/// What no set holds, into the folder that is restored to.
fn copy_parts(kept: &Path, back: &Path) -> Result<()> {
    std::fs::create_dir(back)?;
    for name in ["ca.toml", "ca.crt", "ca.key"] {
        std::fs::copy(kept.join(name), back.join(name))?;
    }
    Ok(())
}
