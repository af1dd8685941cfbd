//! Three host calls by hand. Reading a map: the SDK copies every name and every value into pieces of memory of
//! their own. Answering a request: the SDK has no place for what the access log is to say of the answer. Writing
//! filter state: the SDK panics where the host refuses it, as it does when somebody else has written it for good.
#![expect(unsafe_code, reason = "a host call takes and gives pointers")]

use alloc::vec::Vec;
use core::ptr;

use proxy_wasm::types::MapType;

use crate::headers::pairs;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
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

/// Writes `value` to the filter state of the request; the gateway puts `wasm.` before `key`.
pub(super) fn set_state(key: &str, value: &str) -> bool {
    // SAFETY: both pointers are to as many bytes as the size after each says, in memory that is borrowed until the
    // host, which only reads, has returned.
    let status =
        unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) };
    status == OK
}

/// Answers the request. `details`: for `%RESPONSE_CODE_DETAILS%` of the access log.
pub(super) fn send_local_response(
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
    details: &str,
) -> bool {
    let headers = pairs::write(headers);
    // SAFETY: each pointer is to as many bytes as the size after it says, in memory that is borrowed until the
    // host, which only reads, has returned.
    let status = unsafe {
        proxy_send_local_response(
            status.into(),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    };
    status == OK
}

/// The gateway then gives a gRPC client the status that goes with the HTTP status.
const NO_GRPC_STATUS: i32 = -1;

/// `proxy_status_t` of the ABI.
const OK: u32 = 0;
