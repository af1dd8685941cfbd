//! Which files a configuration is read from, and what was in them: what a reload compares, and what
//! is watched until the next one.
//!
//! A configuration is loaded on one thread, from beginning to end, so the trace is that thread's.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};

/// How a file looks from outside. A symbolic link is followed, so the swap of a folder behind one,
/// as Kubernetes does it, shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None` if there is no such file, or none that may be seen.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// A file that was read, or should have been.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// From before it was read: what changes while it is read differs from it afterwards.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) content: [u8; 32],
}

/// Tells whether a part of the configuration is the same as before, its files included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

thread_local! {
    static TRACE: RefCell<Vec<SourceFile>> = const { RefCell::new(Vec::new()) };
}

/// Reads a whole file, and remembers that.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let stamp = Stamp::of(path);
    let result = fs::read(path);
    let text = result.as_deref().unwrap_or_default();
    let file = SourceFile {
        path: path.to_owned(),
        stamp,
        content: bytes(digest(&SHA256, text).as_ref()),
    };
    TRACE.with_borrow_mut(|trace| trace.push(file));
    result
}

/// The files read on this thread since the last call.
pub(super) fn take() -> Vec<SourceFile> {
    TRACE.take()
}

/// How many files have been read on this thread.
pub(super) fn mark() -> usize {
    TRACE.with_borrow(Vec::len)
}

/// Of something written like this, for which the files since `mark` were read.
pub(super) fn fingerprint(written: &str, mark: usize) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    context.update(digest(&SHA256, written.as_bytes()).as_ref());
    TRACE.with_borrow(|trace| {
        for file in trace.iter().skip(mark) {
            context.update(&file.content);
        }
    });
    Fingerprint(bytes(context.finish().as_ref()))
}

fn bytes(digest: &[u8]) -> [u8; 32] {
    digest.try_into().unwrap_or_default()
}
