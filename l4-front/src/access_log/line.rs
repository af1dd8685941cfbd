//! The access log's second format: `key=value`, for people and for awk.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of a JSON object as `key=value`, in their order. What is `null` is `-`; a text that
/// could be read as something else is quoted as in JSON.
pub(super) fn from_json(object: &str) -> Option<String> {
    let Members(members) = serde_json::from_str(object).ok()?;
    let pairs: Vec<_> = members
        .into_iter()
        .map(|(key, value)| format!("{key}={}", text(&value)))
        .collect();
    Some(pairs.join(" "))
}

fn text(value: &Value) -> String {
    let plain = |text: &str| {
        !matches!(text, "" | "-")
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\'))
    };
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// In the order in which they stand.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_nothing_can_be_forged() {
        let object = r#"{"time":"2026-01-01T00:00:00Z","sni":null,"bytes_up":7,"resumed":true,
            "alpn":"h2","error":"a b\n\"c\"=d","dash":"-","none":""}"#;
        let want = concat!(
            r#"time=2026-01-01T00:00:00Z sni=- bytes_up=7 resumed=true alpn=h2 "#,
            r#"error="a b\n\"c\"=d" dash="-" none="""#,
        );
        assert_eq!(from_json(object).as_deref(), Some(want));
    }
}
