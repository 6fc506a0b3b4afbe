//! The image for containers: the static command, and what it needs to be run by somebody who is not root. No daemon is asked for
//! it; the file is in the layout of the OCI (image-spec 1.0), which podman and skopeo read as `oci-archive:`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::plan::{Owner, Run, VERSION, fresh};
use crate::failure::{Context, Result};
use crate::process;
use crate::tree::{Symbols, Tree, set_mode};

/// The account that the image has beside root. A number, because a host can tell then that it is not root.
pub(super) const ACCOUNT: &str = "65532:65532";
const PASSWD: &str =
    "root:x:0:0:root:/:/sbin/nologin\ncertadm:x:65532:65532:certadm:/var/lib/certadm:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ncertadm:x:65532:\n";
/// Where CAs and sets are mounted; the only folder that belongs to the account.
const HOME: &str = "var/lib/certadm";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Where the image is written.
pub(super) fn file(run: &Run<'_>) -> std::path::PathBuf {
    run.out.join(format!("certadm-{VERSION}-oci-{}.tar", std::env::consts::ARCH))
}

/// Writes it into the folder of packages.
pub(super) fn build(run: &Run<'_>, command: &Path, licences: &str) -> Result<()> {
    let root = run.folder.join("stage").join("image");
    fresh(&root)?;
    let tree = Tree { root: &root };
    tree.program(command, "usr/bin/certadm", Symbols::Left)?;
    tree.write("etc/passwd", PASSWD)?;
    tree.write("etc/group", GROUP)?;
    tree.write("usr/share/doc/certadm/copyright", licences)?;
    set_mode(&tree.folder(HOME)?, 0o700)?;
    set_mode(&tree.folder("tmp")?, 0o1777)?;

    let layout = run.folder.join("stage").join("oci");
    fresh(&layout.join("blobs/sha256"))?;
    let layout = Layout { root: &layout };
    let layer = run.folder.join("stage").join("layer.tar");
    let home = format!("./{HOME}");
    run.tar(
        &layer,
        &root,
        Owner::ROOT,
        &["--create", "--mode=u=rwX,go=rX", "--exclude", &home, "--exclude=./tmp"],
        ".",
    )?;
    run.tar(&layer, &root, Owner::ROOT, &["--append"], "./tmp")?;
    run.tar(&layer, &root, Owner(ACCOUNT), &["--append"], &home)?;
    let unpacked = digest(&layer)?;
    process::run(Command::new("gzip").args(["-9", "-n", "-f"]).arg(&layer))?;
    let layer =
        layout.take(&layer.with_extension("tar.gz"), "application/vnd.oci.image.layer.v1.tar+gzip")?;
    let created =
        process::output(Command::new("date").args(["-u", "+%FT%TZ", "-d"]).arg(format!("@{}", run.epoch)))?;
    let config =
        layout.json(&config(&unpacked, created.trim()), "application/vnd.oci.image.config.v1+json")?;
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut manifest = layout.json(&manifest, MANIFEST)?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": VERSION });
    manifest["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest],
    });
    layout.write("index.json", &index.to_string())?;
    layout.write("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    run.tar(&file(run), layout.root, Owner::ROOT, &["--create", "--mode=u=rwX,go=rX"], ".")
}

fn config(layer: &str, created: &str) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": created,
        "config": {
            "User": ACCOUNT,
            "Entrypoint": ["/usr/bin/certadm"],
            "WorkingDir": format!("/{HOME}"),
            "Env": ["PATH=/usr/bin", format!("HOME=/{HOME}")],
            "Volumes": { (format!("/{HOME}")): {} },
            "Labels": {
                "org.opencontainers.image.title": "certadm",
                "org.opencontainers.image.version": VERSION,
                "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        "history": [{ "created": created, "created_by": "cargo xtask package" }],
    })
}

/// The name that the OCI has for this machine's processors.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The folder that becomes the file.
struct Layout<'a> {
    root: &'a Path,
}

impl Layout<'_> {
    /// Moves a file among the blobs, and describes it as others refer to it.
    fn take(&self, file: &Path, kind: &str) -> Result<Value> {
        let digest = digest(file)?;
        let size = fs::metadata(file).context(format_args!("cannot look at {}", file.display()))?.len();
        let blob = self.root.join("blobs/sha256").join(&digest);
        fs::rename(file, &blob).context(format_args!("cannot move {}", file.display()))?;
        Ok(json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": size }))
    }

    fn json(&self, value: &Value, kind: &str) -> Result<Value> {
        let file = self.write("new.json", &value.to_string())?;
        self.take(&file, kind)
    }

    fn write(&self, name: &str, text: &str) -> Result<std::path::PathBuf> {
        Tree { root: self.root }.write(name, text)
    }
}

/// The SHA-256 of a file, in hexadecimal digits.
fn digest(file: &Path) -> Result<String> {
    let said = process::output(Command::new("sha256sum").arg(file))?;
    Ok(said.trim_start_matches('\\').split_whitespace().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    /// Every file that the image names is there and has the hash that it is named by; a second image is equal; and another's program
    /// unpacks it.
    #[test]
    fn an_image_is_whole_and_always_the_same() {
        if ["objcopy", "tar", "gzip"].iter().any(|tool| Command::new(tool).arg("--version").output().is_err())
        {
            println!("skipped: binutils, tar or gzip is not installed");
            return;
        }
        let workspace = Workspace::load().unwrap();
        let run = Run::of_test(&workspace, "image");
        let folder = &run.folder;
        fresh(&run.out).unwrap();
        let command = std::env::current_exe().unwrap();
        build(&run, &command, "licences").unwrap();
        let first = fs::read(file(&run)).unwrap();
        build(&run, &command, "licences").unwrap();
        assert!(first == fs::read(file(&run)).unwrap(), "two images of one command differ");

        let layout = folder.join("stage/oci");
        let read =
            |path: &str| -> Value { serde_json::from_slice(&fs::read(layout.join(path)).unwrap()).unwrap() };
        let blob = |described: &Value| {
            let name = described["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
            let path = layout.join("blobs/sha256").join(&name);
            assert_eq!(digest(&path).unwrap(), name);
            assert_eq!(fs::metadata(&path).unwrap().len(), described["size"].as_u64().unwrap());
            format!("blobs/sha256/{name}")
        };
        let manifest = read(&blob(&read("index.json")["manifests"][0]));
        let config = read(&blob(&manifest["config"]));
        assert_eq!(
            (&config["config"]["User"], &config["created"]),
            (&json!(ACCOUNT), &json!("2023-11-14T22:13:20Z"))
        );
        let layer = layout.join(blob(&manifest["layers"][0]));
        let mut tar = Command::new("tar");
        let listed = process::output(
            tar.args(["--list", "--verbose", "--numeric-owner", "--gunzip", "--file"]).arg(layer),
        );
        let listed = listed.unwrap();
        let of = |name: &str| {
            listed.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("{listed}"))
        };
        assert!(of("./var/lib/certadm/").starts_with("drwx------ 65532/65532 "), "{listed}");
        assert!(of("./tmp/").starts_with("drwxrwxrwt 0/0 "), "{listed}");
        assert!(of("./usr/bin/certadm").starts_with("-rwxr-xr-x 0/0 "), "{listed}");

        let mut umoci = Command::new("umoci");
        umoci.args(["unpack", "--rootless", "--image"]).arg(format!("{}:{VERSION}", layout.display()));
        match umoci.arg(folder.join("unpacked")).output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => println!("skipped: no umoci: {error}"),
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
