//! A certificate, its key and the mesh's root under the names that Istio's programs look for.

use super::folder_of;
use crate::{
    error::HarnessError,
    pki::{self, Identity, Pki},
    run_folder::RunFolder,
};

/// Writes the three into this folder of the run.
///
/// # Errors
/// [`HarnessError::File`].
pub(super) fn write(
    place: &str,
    identity: &Identity,
    pki: &Pki,
    folder: &RunFolder,
) -> Result<(), HarnessError> {
    folder_of(place, folder)?;
    let sources = [
        &identity.certificate,
        &identity.private_key,
        pki.mesh.certificate(),
    ];
    for (file, source) in FILES.into_iter().zip(sources) {
        folder.write_secret(&format!("{place}/{file}"), &pki::read_pem(source)?)?;
    }
    Ok(())
}

/// The certificate, its key, the root.
const FILES: [&str; 3] = ["cert-chain.pem", "key.pem", "root-cert.pem"];
