//! Checks of `upgrade` and `sandbox`: what concerns the process, not what it serves.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ConfigError;
use super::checks::seconds;
use super::document;
use crate::sandbox::Sandbox;

/// The name of a unix socket has 108 bytes at most (unix(7)), and for a moment it ends with a dot
/// and a process id.
const LONGEST_SOCKET: usize = 99;

/// How another process can take the place of this one.
#[derive(Debug, Clone)]
pub(crate) struct Upgrade {
    pub(crate) socket: PathBuf,
    /// How long connections may last afterwards.
    pub(crate) drain: Duration,
}

pub(super) fn validate_upgrade(written: document::Upgrade) -> Result<Upgrade, ConfigError> {
    let at = "upgrade.socket";
    let path = absolute(at, &written.socket)?;
    if path.as_os_str().as_bytes().len() > LONGEST_SOCKET {
        return Err(ConfigError::Value {
            at: at.to_owned(),
            value: path.display().to_string(),
            allowed: "a path of at most 99 bytes",
        });
    }
    Ok(Upgrade {
        socket: written.socket,
        drain: seconds("upgrade.drain_seconds", written.drain_seconds, 0..=86_400)?,
    })
}

pub(super) fn validate_sandbox(written: document::Sandbox) -> Result<Sandbox, ConfigError> {
    for (key, paths) in [("read", &written.read), ("write", &written.write)] {
        for (index, path) in paths.iter().enumerate() {
            absolute(&format!("sandbox.{key}[{index}]"), path)?;
        }
    }
    Ok(Sandbox {
        read: written.read,
        write: written.write,
        best_effort: written.best_effort,
    })
}

/// Relative paths would be of whatever folder each process was started in.
fn absolute<'a>(at: &str, path: &'a Path) -> Result<&'a Path, ConfigError> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(ConfigError::Value {
        at: at.to_owned(),
        value: path.display().to_string(),
        allowed: "an absolute path",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_fit_into_an_address() {
        let socket = |path: &str| {
            validate_upgrade(document::Upgrade {
                socket: path.into(),
                drain_seconds: 1,
            })
        };
        let longest = format!("/{}", "a".repeat(LONGEST_SOCKET - 1));
        assert!(socket(&longest).is_ok());
        assert!(socket(&format!("{longest}a")).is_err());
        assert!(socket("upgrade.sock").is_err());
        let sandbox = document::Sandbox {
            write: vec!["/var/log".into(), "log".into()],
            ..document::Sandbox::default()
        };
        let error = validate_sandbox(sandbox).unwrap_err().to_string();
        assert!(error.starts_with("sandbox.write[1]: "), "{error}");
    }
}
