//! UUIDs as texts, in the one form that the filter takes (RFC 9562 section 4): hexadecimal digits in lower
//! case in groups of 8, 4, 4, 4 and 12. No other text can be confused with a path, a host or a name.

/// Whether `text` is such a UUID.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let is_expected = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_uuid() {
        assert!(is_uuid("0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11"));
        let others = [
            ("empty", ""),
            ("upper case", "0B3F1C2A-9F7E-4A51-8A55-1F0E3F6D2C11"),
            ("without dashes", "0b3f1c2a9f7e4a518a551f0e3f6d2c110000"),
            ("dash too early", "0b3f1c2-a9f7e-4a51-8a55-1f0e3f6d2c11"),
            ("one too many", "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c111"),
            ("in braces", "{b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c1}"),
            ("dot segments", "../../a-9f7e-4a51-8a55-1f0e3f6d2c11/"),
            ("slash", "0b3f1c2a/9f7e-4a51-8a55-1f0e3f6d2c11"),
            ("query", "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c1?"),
            ("escape", "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2%2f"),
            ("line end", "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c1\n"),
            ("not ascii", "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2\u{e9}1"),
        ];
        for (name, text) in others {
            assert!(!is_uuid(text), "{name}");
        }
    }
}
