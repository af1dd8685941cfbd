//! What needs unsafe code, behind doors that are safe.
#![expect(
    unsafe_code,
    reason = "descriptors that come as numbers have no owner that the compiler knows"
)]

pub(crate) mod descriptor;
