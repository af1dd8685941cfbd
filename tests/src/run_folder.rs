//! The folder of one run: keys, configurations and logs of everything that was started. It goes
//! away with the run, except after a failure: then it is what there is to look at.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{error::HarnessError, tools};

/// A folder that lives as long as this value.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    at_end: AtEnd,
}

/// What becomes of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtEnd {
    Remove,
    Keep,
}

impl RunFolder {
    /// An empty folder under `target/e2e`, of this process alone.
    ///
    /// # Errors
    /// [`HarnessError::File`] if it cannot be created.
    pub fn create() -> Result<Self, HarnessError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = tools::in_repository("target/e2e").join(format!("{}-{number}", process::id()));
        let created = fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        match created {
            Ok(path) => Ok(Self {
                path,
                at_end: AtEnd::Remove,
            }),
            Err(source) => Err(HarnessError::File {
                verb: "create",
                path,
                source,
            }),
        }
    }

    /// Leaves the folder behind: there is something to look at.
    pub fn keep(&mut self) {
        self.at_end = AtEnd::Keep;
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of this name is or will be.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file that everybody may read.
    ///
    /// # Errors
    /// [`HarnessError::File`].
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, HarnessError> {
        self.write_with_mode(name, text, 0o644)
    }

    /// Writes a file that only this user may read.
    ///
    /// # Errors
    /// [`HarnessError::File`].
    pub fn write_secret(&self, name: &str, text: &str) -> Result<PathBuf, HarnessError> {
        self.write_with_mode(name, text, 0o600)
    }

    fn write_with_mode(&self, name: &str, text: &str, mode: u32) -> Result<PathBuf, HarnessError> {
        let path = self.file(name);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(HarnessError::File {
                verb: "write",
                path,
                source,
            }),
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.at_end == AtEnd::Keep || std::thread::panicking() {
            let _unseen = writeln!(
                io::stderr(),
                "the run's files are kept in {}",
                self.path.display()
            );
        } else {
            let _already_gone = fs::remove_dir_all(&self.path);
        }
    }
}

static NEXT: AtomicU32 = AtomicU32::new(1);
