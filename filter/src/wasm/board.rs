//! The host's shared data, where the workers agree on whose turn it is to fetch keys.

use alloc::vec::Vec;

use proxy_wasm::hostcalls;

use crate::lease::Board;

/// The board of this gateway.
pub(super) struct Host;

impl Board for Host {
    fn read(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        hostcalls::get_shared_data(key).unwrap_or_default()
    }

    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        hostcalls::set_shared_data(key, Some(value), version).is_ok()
    }
}
