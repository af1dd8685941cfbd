//! Texts of others, made fit to be shown: nothing in them can move a terminal's cursor or go on for pages.

use serde_json::Value;

/// A text, as it is where it is plain, and escaped where it is not.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'`');
    let (shown, rest) = match text.char_indices().nth(LONGEST) {
        Some((end, _)) => (&text[..end], "..."),
        None => (text, ""),
    };
    if !text.is_empty() && text.bytes().all(is_plain) {
        return format!("{shown}{rest}");
    }
    format!("\"{}\"{rest}", shown.escape_debug())
}

/// A claim's value.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let quoted = quoted(text);
            if quoted.starts_with('"') {
                quoted
            } else {
                format!("\"{quoted}\"")
            }
        }
        Value::Array(values) => {
            let rest = if values.len() > MOST { ", ..." } else { "" };
            let shown: Vec<_> = values.iter().take(MOST).map(self::value).collect();
            format!("[{}{rest}]", shown.join(", "))
        }
        Value::Object(_) => "an object".into(),
        other => other.to_string(),
    }
}

/// `[a, b]`.
pub(crate) fn list(texts: impl Iterator<Item = String>) -> String {
    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
}

/// Characters of a text.
const LONGEST: usize = 200;
/// Elements of a list.
const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_in_a_text_reaches_the_terminal_as_it_is() {
        for (text, want) in [
            ("/orders/{id}", "/orders/{id}"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("\u{1b}[2J", r#""\u{1b}[2J""#),
            ("a\nb", r#""a\nb""#),
            ("\u{202e}x", r#""\u{202e}x""#),
            ("é", r#""é""#),
        ] {
            assert_eq!(quoted(text), want);
        }
        assert_eq!(quoted(&"a".repeat(1000)).len(), LONGEST + 3);
        assert_eq!(
            value(&json!(["a\u{7f}", 1, {"b": 2}])),
            r#"["a\u{7f}", 1, an object]"#
        );
    }
}
