//! A package for systems with RPM, by `rpmbuild`.

use std::process::Command;

use super::plan::{Package, Run, VERSION, fresh};
use crate::failure::{Context, Failure, Result};
use crate::process;

/// Builds it into the folder of packages.
pub(super) fn build(run: &Run<'_>, package: &Package) -> Result<()> {
    let top = run.folder.join("rpm").join(package.name);
    fresh(&top)?;
    let spec = top.join("package.spec");
    std::fs::write(&spec, text(package)?).context("cannot write the spec")?;
    let mut build = Command::new("rpmbuild");
    build.env("SOURCE_DATE_EPOCH", &run.epoch).args(["-bb", "--quiet", "--define"]);
    build.arg(format!("_topdir {}", top.display()));
    for definition in [
        "use_source_date_epoch_as_buildtime 1",
        "clamp_mtime_to_source_date_epoch 1",
        "_buildhost certadm",
        "_build_id_links none",
        "debug_package %{nil}",
        "__os_install_post %{nil}",
    ] {
        build.args(["--define", definition]);
    }
    process::run(build.arg(&spec))?;
    let folder = top.join("RPMS").join(std::env::consts::ARCH);
    for entry in std::fs::read_dir(&folder).context(format_args!("cannot list {}", folder.display()))? {
        let path = entry.context("cannot list the packages")?.path();
        let name = path.file_name().ok_or_else(|| Failure::new("a package without a name"))?;
        std::fs::copy(&path, run.out.join(name)).context(format_args!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

/// Debian's folder of libraries is not RPM's.
fn text(package: &Package) -> Result<String> {
    let triplet = process::output(Command::new("gcc").arg("-print-multiarch"))?;
    let needs: String = package.needs.iter().map(|name| format!("Requires: {name} = {VERSION}\n")).collect();
    let scripts = match package.name {
        "certadm" => {
            "%pre\ngetent passwd certadm > /dev/null || useradd --system --user-group --home-dir /var/lib/certadm --shell /sbin/nologin certadm\n\n\
             %post\ninstall -d -o certadm -g certadm -m 0700 /var/lib/certadm\n\
             if [ -d /run/systemd/system ]; then systemctl daemon-reload; systemctl try-restart 'certadm@*.service' certadm-agent.service; fi\n\n\
             %preun\nif [ $1 = 0 ] && [ -d /run/systemd/system ]; then systemctl stop 'certadm@*.service' 'certadm@*.socket' certadm-agent.service; fi\n\n"
        }
        "libcertadm1" => "%post -p /sbin/ldconfig\n\n%postun -p /sbin/ldconfig\n\n",
        _ => "",
    };
    Ok(format!(
        "Name: {name}\nVersion: {VERSION}\nRelease: 1\nSummary: {summary}\nLicense: MIT OR Apache-2.0\n{needs}\n\
         %description\n{description}\n\n\
         %install\nmkdir -p %{{buildroot}}\ncp -a '{root}/.' %{{buildroot}}\n\
         if [ -d %{{buildroot}}/usr/lib/{triplet} ]; then mkdir -p %{{buildroot}}/usr/lib64; \
         mv %{{buildroot}}/usr/lib/{triplet}/* %{{buildroot}}/usr/lib64; rmdir %{{buildroot}}/usr/lib/{triplet}; \
         if [ -f %{{buildroot}}/usr/lib64/pkgconfig/certadm.pc ]; then \
         sed -i s,/lib/{triplet},/lib64, %{{buildroot}}/usr/lib64/pkgconfig/certadm.pc; fi; fi\n\
         (cd %{{buildroot}}; find . '(' -type f -o -type l ')' -printf '\"/%%P\"\\n') | sort > files\n\n\
         %files -f files\n%defattr(-,root,root)\n\n{scripts}",
        name = package.name,
        summary = package.summary,
        description = package.description,
        root = package.root.display(),
        triplet = triplet.trim(),
    ))
}
