//! The one host call that the SDK makes dearer than it is: it copies every name and every value of a map
//! into pieces of memory of their own.
#![expect(unsafe_code, reason = "a host call gives a pointer")]

use alloc::vec::Vec;
use core::ptr;

use proxy_wasm::types::MapType;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
}

/// A header map as the host writes it (see [`Headers::read`](crate::headers::Headers::read)); nothing when
/// there is no such map.
pub(super) fn header_map(map: MapType) -> Option<Vec<u8>> {
    let (mut data, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the host writes through both pointers during the call, and both are to variables that live
    // longer and that nobody else has borrowed.
    let status = unsafe { proxy_get_header_map_pairs(map, &raw mut data, &raw mut size) };
    if status != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the host had these `size` bytes allocated by the SDK's `proxy_on_memory_allocate`, as a boxed
    // slice of exactly that length by the same allocator, has written all of them, and gives them away.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// `proxy_status_t` of the ABI.
const OK: u32 = 0;
