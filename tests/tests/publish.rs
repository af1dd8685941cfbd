//! `scripts/publish-filter` against a real registry: what it pushes is what a gateway can load, says
//! where it comes from, and is the same wherever it is built.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    ffi::OsString,
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use e2e::{http::Reply, registry::Registry, run_folder::RunFolder, tools};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

#[tokio::test]
async fn the_published_image_is_one_manifest_whose_last_layer_holds_the_module() {
    let published = Published::now().await;
    let manifest = published.image().await;
    assert_eq!(manifest["mediaType"], IMAGE_MANIFEST);
    assert!(
        manifest["manifests"].is_null(),
        "an index cannot be pinned for Istio"
    );
    let layers = manifest["layers"].as_array().unwrap();
    let layer = layers.last().unwrap();
    assert_eq!(layer["mediaType"], LAYER);
    let packed = published.blob(&layer["digest"]).await.body;
    assert_eq!(packed[4..8], [0; 4], "a gzip header without a time");
    let mut archive = Vec::new();
    GzDecoder::new(packed.as_slice())
        .read_to_end(&mut archive)
        .unwrap();
    let module = fs::read(tools::filter().unwrap()).unwrap();
    assert_eq!(
        archive[..12],
        *b"plugin.wasm\0",
        "the first name in the archive"
    );
    assert_eq!(
        archive[512..512 + module.len()],
        module,
        "the module as it was built"
    );
    let config = published.blob(&manifest["config"]["digest"]).await.json();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_image_says_where_it_comes_from_and_when() {
    let published = Published::now().await;
    let manifest = published.image().await;
    let said = |name: &str| {
        let name = format!("org.opencontainers.image.{name}");
        manifest["annotations"][name].as_str().unwrap().to_owned()
    };
    let commit = git(&["rev-parse", "HEAD"]);
    let revision = said("revision");
    assert_eq!(revision.trim_end_matches("-dirty"), commit);
    assert_eq!(
        revision.ends_with("-dirty"),
        !git(&["status", "--porcelain"]).is_empty()
    );
    assert_eq!(said("source"), SOURCE);
    assert_eq!(said("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(said("licenses"), "Apache-2.0");
    let format = ["log", "-1", "--format=%cd", "--date=format-local:%FT%TZ"];
    assert_eq!(said("created"), git(&format), "the time of the commit");
}

#[tokio::test]
async fn what_is_in_it_and_how_it_was_built_refer_to_the_image() {
    let published = Published::now().await;
    let tag = published.digest.replace(':', "-");
    let index = published.manifest(&tag).await;
    assert_eq!(
        index["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    let sbom = published.referrer(&index, SBOM).await;
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let names: Vec<&Value> = sbom["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| &component["name"])
        .collect();
    assert!(names.contains(&&"proxy-wasm".into()), "{names:?}");
    assert!(!names.contains(&&"tokio".into()), "of the front: {names:?}");
    let statement = published.referrer(&index, STATEMENT).await;
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(
        format!(
            "sha256:{}",
            statement["subject"][0]["digest"]["sha256"]
                .as_str()
                .unwrap()
        ),
        published.digest
    );
    let definition = &statement["predicate"]["buildDefinition"];
    let commit = git(&["rev-parse", "HEAD"]);
    let source = &definition["resolvedDependencies"][0];
    assert_eq!(source["uri"], format!("git+{SOURCE}"));
    let of_commit = source["digest"]["gitCommit"].as_str().unwrap();
    assert_eq!(of_commit.trim_end_matches("-dirty"), commit);
    for text in [sbom.to_string(), statement.to_string()] {
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{text}");
    }
}

/// Another folder, and another home of cargo's: the paths that panics name differ.
#[tokio::test]
async fn another_folder_gives_the_same_digest() {
    let folder = RunFolder::create().unwrap();
    let here = publish(&tools::in_repository(""), &["--dry-run"], NOWHERE, None);
    let there = second_checkout(&folder);
    let home = PathBuf::from(std::env::var_os("CARGO_HOME").unwrap_or_else(|| {
        let home = std::env::var_os("HOME").unwrap();
        Path::new(&home).join(".cargo").into()
    }));
    let other_home = folder.file("cargo-home");
    symlink(home, &other_home).unwrap();
    let built = publish(&there, &["--dry-run"], NOWHERE, Some(&other_home));
    assert_eq!(built, here);
}

/// ORAS asks the helper that docker's configuration names for this registry, and finds it on the `PATH`.
#[tokio::test]
async fn a_credential_helper_opens_a_registry_that_asks_for_a_password() {
    let folder = RunFolder::create().unwrap();
    let registry = Registry::start_with_password(ACCOUNT, &folder)
        .await
        .unwrap();
    let reference = format!("{}/{REPOSITORY}:test", registry.address());
    let helper = folder.write("docker-credential-run", HELPER).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    let helpers = json!({ "credHelpers": { (registry.address().to_string()): "run" } });
    let mut path = OsString::from(folder.path());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let with = |config: &str, text: &str| -> Output {
        let config = folder.write(config, text).unwrap();
        publishing(&tools::in_repository(""), &["--plain-http"], &reference)
            .env("DOCKER_CONFIG", config.parent().unwrap())
            .env("PATH", &path)
            .output()
            .unwrap()
    };
    fs::create_dir(folder.file("with")).unwrap();
    fs::create_dir(folder.file("without")).unwrap();
    let refused = with("without/config.json", "{}");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned()
        + &String::from_utf8_lossy(&refused.stdout);
    assert!(
        said.contains("401") || said.contains("basic credential not found"),
        "{said}"
    );
    let pushed = with("with/config.json", &helpers.to_string());
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned()
        + &String::from_utf8_lossy(&pushed.stdout);
    assert!(pushed.status.success(), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
}

/// What one run has pushed.
struct Published {
    registry: Registry,
    digest: String,
    _folder: RunFolder,
}

impl Published {
    async fn now() -> Self {
        let folder = RunFolder::create().unwrap();
        let registry = Registry::start(&folder).await.unwrap();
        let reference = format!("{}/{REPOSITORY}:test", registry.address());
        let pinned = publish(
            &tools::in_repository(""),
            &["--plain-http"],
            &reference,
            None,
        );
        let expected = format!("oci://{}/{REPOSITORY}@", registry.address());
        let digest = pinned.strip_prefix(&expected).unwrap().to_owned();
        Self {
            registry,
            digest,
            _folder: folder,
        }
    }

    /// The image, by the digest that was printed: not what the registry may make of it.
    async fn image(&self) -> Value {
        let reply = self.registry.manifest(REPOSITORY, &self.digest).await;
        let reply = reply.unwrap();
        assert_eq!(format!("sha256:{}", reply.sha256), self.digest);
        reply.json()
    }

    async fn manifest(&self, which: &str) -> Value {
        let reply = self.registry.manifest(REPOSITORY, which).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn blob(&self, digest: &Value) -> Reply {
        let digest = digest.as_str().unwrap();
        let reply = self.registry.blob(REPOSITORY, digest).await.unwrap();
        assert_eq!(format!("sha256:{}", reply.sha256), digest);
        reply
    }

    /// What the one referrer of this kind holds.
    async fn referrer(&self, index: &Value, kind: &str) -> Value {
        let found: Vec<&Value> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|referrer| referrer["artifactType"] == kind)
            .collect();
        let [descriptor] = found[..] else {
            panic!("not one referrer of {kind}: {index}");
        };
        let manifest = self.manifest(descriptor["digest"].as_str().unwrap()).await;
        assert_eq!(manifest["artifactType"], kind);
        assert_eq!(manifest["subject"]["digest"], self.digest.as_str());
        let layer = &manifest["layers"][0];
        assert_eq!(layer["mediaType"], kind);
        self.blob(&layer["digest"]).await.json()
    }
}

/// Runs the script of this checkout and gives back the last line: the reference to pin.
fn publish(root: &Path, options: &[&str], reference: &str, cargo_home: Option<&Path>) -> String {
    let mut command = publishing(root, options, reference);
    if let Some(home) = cargo_home {
        command.env("CARGO_HOME", home);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines().last().unwrap().to_owned()
}

fn publishing(root: &Path, options: &[&str], reference: &str) -> Command {
    let mut command = Command::new(root.join("scripts/publish-filter"));
    command
        .args(["--allow-dirty", "--source", SOURCE])
        .args(options)
        .arg(reference);
    command
}

/// The same commit with the same changes in another folder; of what was installed here, the tools
/// and the standard library for Wasm.
fn second_checkout(folder: &RunFolder) -> PathBuf {
    let path = folder.file("elsewhere/checkout");
    let root = tools::in_repository("");
    let script = r#"set -euo pipefail
      git clone --quiet --shared "$1" "$2"
      cd "$1"
      git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | tar --extract --directory "$2"
      mkdir -p "$2/.cache/wasm-toolchain"
      ln -s "$1/.cache/tools" "$2/.cache/tools"
      [[ ! -d .cache/wasm-toolchain/std ]] || cp -R .cache/wasm-toolchain/std "$2/.cache/wasm-toolchain/""#;
    let copied = Command::new("bash")
        .args(["-c", script, "copy"])
        .args([&root, &path])
        .status();
    assert!(copied.unwrap().success());
    path
}

/// What git says in this checkout, times in UTC.
fn git(arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(tools::in_repository(""))
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// `publisher` with that password, by bcrypt.
const ACCOUNT: &str = "publisher:$2b$04$Odl13KHFR/VB73gbLFRs1eqsS0UTzzRrjFXCI6z3jSSkFgq4vG3em";
const PASSWORD: &str = "of-the-helper";
const HELPER: &str = r#"#!/bin/sh
[ "$1" = get ] && server=$(cat) &&
  echo "{\"ServerURL\": \"$server\", \"Username\": \"publisher\", \"Secret\": \"of-the-helper\"}"
"#;

const REPOSITORY: &str = "sallyport/identity-filter";
const NOWHERE: &str = "registry.invalid/sallyport/identity-filter:test";
const SOURCE: &str = "https://git.example.com/sallyport";
const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const SBOM: &str = "application/vnd.cyclonedx+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
