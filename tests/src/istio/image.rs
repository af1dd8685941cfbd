//! The filter as an image: as the product publishes it, and as a module that a test has changed.

use std::{fs, process::Command};

use super::{folder_of, output_of};
use crate::{error::HarnessError, registry::Registry, run_folder::RunFolder, tools};

/// Gives back the reference to pin, the last line of what the script prints.
///
/// # Errors
/// [`HarnessError::Ended`] with what the script complains of.
pub fn publish(registry: &Registry) -> Result<String, HarnessError> {
    let script = tools::in_repository("scripts/publish-filter");
    let mut command = Command::new(script);
    command
        .args(["--plain-http", "--allow-dirty", "--source"])
        .arg("https://git.example.com/sallyport")
        .arg(format!(
            "{}/sallyport/identity-filter:run",
            registry.address()
        ));
    let text = output_of("scripts/publish-filter", command)?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

/// Pushes this module beside the image of that reference, and gives back its own.
///
/// # Errors
/// [`HarnessError::File`], [`HarnessError::NotBuilt`], or [`HarnessError::Ended`] with what ORAS or tar
/// complains of.
pub fn push(
    beside: &str,
    tag: &str,
    module: &[u8],
    folder: &RunFolder,
) -> Result<String, HarnessError> {
    let place = folder_of(tag, folder)?;
    let write = |name: &str, content: &[u8]| {
        let path = place.join(name);
        fs::write(&path, content).map_err(|source| HarnessError::File {
            verb: "write",
            path,
            source,
        })
    };
    write("plugin.wasm", module)?;
    write("config.json", b"{}")?;
    let mut pack = Command::new("tar");
    pack.args(["--create", "--gzip", "--file=layer.tar.gz", "plugin.wasm"]);
    output_of("tar", on(pack, &place))?;
    let (name, _digest) = beside.split_once('@').unwrap_or((beside, ""));
    let name = name.trim_start_matches("oci://");
    let mut push = Command::new(tools::oras()?);
    push.args(["push", "--plain-http", "--format"])
        .arg("go-template={{.digest}}")
        .arg("--config=config.json:application/vnd.oci.image.config.v1+json")
        .arg(format!("{name}:{tag}"))
        .arg("layer.tar.gz:application/vnd.oci.image.layer.v1.tar+gzip");
    let digest = output_of("oras push", on(push, &place))?;
    Ok(format!("oci://{name}@{}", digest.trim()))
}

fn on(mut command: Command, folder: &std::path::Path) -> Command {
    command.current_dir(folder);
    command
}
