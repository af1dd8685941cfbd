//! What of the file system the process may reach once it serves (Landlock, landlock(7)).
//!
//! Threads are restricted as they start, so this comes before all of them; and nothing that is
//! granted is ever more than the user of the process has. A configuration that is loaded later can
//! name new files only where the folders granted at start lead.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};

use crate::config::Config;

/// The newest rights that are asked for. Kernels that know fewer enforce those that they know.
const NEWEST: ABI = ABI::V5;

/// Those without which there is no sandbox: the first kernels with Landlock know them.
const OLDEST: ABI = ABI::V1;

/// What the successor of an upgrade is loaded from.
const LIBRARIES: [&str; 3] = ["/lib", "/lib64", "/usr/lib"];

/// `sandbox` in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    pub(crate) best_effort: bool,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A path that is to be granted is not there.
    #[error("sandbox: cannot open {}", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: landlock::PathFdError,
    },
    /// The kernel knows no Landlock, or does not allow it here.
    #[error(
        "sandbox: the kernel does not enforce it (Linux 5.13 or newer with Landlock is needed), \
         sandbox.best_effort: true starts without"
    )]
    Unsupported,
    /// The kernel refuses the rules.
    #[error("sandbox: the kernel refuses the rules")]
    Rules(#[from] landlock::RulesetError),
}

/// A path and what may be done at and below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    path: PathBuf,
    rights: BitFlags<AccessFs>,
}

/// Restricts this thread and all that it starts, for good.
///
/// # Errors
/// If not everything that was asked for is enforced, unless `best_effort` allows that.
pub(crate) fn enter(config: &Config) -> Result<(), SandboxError> {
    let Some(sandbox) = &config.sandbox else {
        return Ok(());
    };
    let least = if sandbox.best_effort {
        CompatLevel::BestEffort
    } else {
        CompatLevel::HardRequirement
    };
    let created = Ruleset::default()
        .set_compatibility(least)
        .handle_access(AccessFs::from_all(OLDEST))
        .and_then(|rules| {
            rules
                .set_compatibility(CompatLevel::BestEffort)
                .handle_access(AccessFs::from_all(NEWEST))?
                .create()
        });
    let mut rules = match created {
        Ok(rules) => rules,
        Err(_unsupported) => return Err(SandboxError::Unsupported),
    };
    for Grant { path, rights } in grants(config, sandbox) {
        let file = PathFd::new(&path).map_err(|source| SandboxError::Path { path, source })?;
        rules = rules.add_rule(PathBeneath::new(file, rights))?;
    }
    match rules.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => {
            tracing::warn!("sandbox: the kernel does not enforce it, files are not restricted");
        }
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            tracing::info!("sandbox: only what the configuration names can be reached");
        }
    }
    Ok(())
}

/// What the configuration needs, now and for the files that take the place of those of now.
fn grants(config: &Config, sandbox: &Sandbox) -> Vec<Grant> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeSock
        | AccessFs::RemoveFile;
    let mut grants = Vec::new();
    let mut grant = |path: &Path, rights: BitFlags<AccessFs>| {
        // Rights to folders mean nothing for a file, and the kernel says so.
        let rights = match path.is_dir() {
            true => rights,
            false => rights & AccessFs::from_file(NEWEST),
        };
        let path = path.to_owned();
        grants.push(Grant { path, rights });
    };
    for file in &config.files {
        // The link, and where it leads: either may be exchanged.
        for path in [Some(file.path.clone()), fs::canonicalize(&file.path).ok()] {
            path.iter().for_each(|path| grant(&folder_of(path), read));
        }
    }
    // Name servers, and what a worker holds open for want of descriptors.
    for path in ["/etc/resolv.conf", "/dev/null"].map(Path::new) {
        if path.exists() {
            grant(path, read);
        }
    }
    if let Some((log, _format)) = &config.access_log {
        match fs::canonicalize(log).ok().filter(|log| is_special(log)) {
            // A terminal or a pipe: what lies beside it is not ours.
            Some(log) => grant(&log, write),
            None => grant(&folder_of(log), write),
        }
    }
    if let Some(upgrade) = &config.upgrade {
        grant(&folder_of(&upgrade.socket), write);
        let run = read | AccessFs::Execute;
        if let Ok(program) = std::env::current_exe() {
            grant(&folder_of(&program), run);
        }
        let libraries = LIBRARIES.map(Path::new).into_iter();
        libraries
            .filter(|path| path.is_dir())
            .for_each(|path| grant(path, run));
    }
    sandbox.read.iter().for_each(|path| grant(path, read));
    sandbox
        .write
        .iter()
        .for_each(|path| grant(path, read | write));
    grants
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => path.to_owned(),
    }
}

fn is_special(path: &Path) -> bool {
    let kind = fs::metadata(path).map(|found| found.file_type());
    kind.is_ok_and(|kind| kind.is_char_device() || kind.is_fifo() || kind.is_socket())
}
