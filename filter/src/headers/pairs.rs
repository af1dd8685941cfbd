//! Headers in the form in which the host takes and gives them, see [`Headers::read`](super::Headers::read).

use alloc::vec::Vec;

/// These headers in the host's form.
#[must_use]
pub fn write(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut map = Vec::with_capacity(256);
    let mut number =
        |number: usize| map.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    number(headers.len());
    for (name, value) in headers {
        number(name.len());
        number(value.len());
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend(text.as_bytes());
        map.push(0);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Headers;

    #[test]
    fn what_is_written_is_read_again() {
        let headers = [("content-type", "application/json"), ("x-empty", "")];
        let read = Headers::read(write(&headers)).unwrap();
        let read: Vec<_> = read.iter().collect();
        assert_eq!(read, headers.map(|(name, value)| (name, value.as_bytes())));
        assert_eq!(write(&[]), [0; 4]);
    }
}
