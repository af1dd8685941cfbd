//! What the system says when this process or its host has nothing left: no descriptor, port or memory.
//! That tells nothing about the peer that was to be reached.

use std::io;

use nix::libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};

/// True if no peer is to blame for it.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(EADDRNOTAVAIL | EMFILE | ENFILE | ENOBUFS | ENOMEM)
    )
}
