//! Verified claims to a workload identity: the first rule that matches decides.
//!
//! A workload identity is a SPIFFE id. Its path takes few characters, and no percent signs (SPIFFE-ID
//! section 2.2), so a claim's value is escaped in a way of our own: see [`escaped`].

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::claims::{self, ClaimPath, Claims};
use crate::condition::{Condition, Facts};

/// One mapping rule of one provider.
#[derive(Debug, Clone)]
pub struct IdentityRule {
    /// Its name in the configuration and in the audit record.
    pub name: String,
    /// All of them must hold.
    pub when: Vec<Condition>,
    /// What the caller then is.
    pub workload: Template,
}

/// A caller's workload identity and the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The name of the rule.
    pub rule: &'a str,
    /// The SPIFFE id.
    pub workload: String,
}

/// Something that says who the caller is, or what it may do, is greater than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// The identity by the first of `rules` whose conditions hold and whose template can be filled.
///
/// # Errors
/// A claim of that rule is too long, or the id would be. To pass such a rule by would make the caller what a later
/// one says, and whoever chooses the claim's length would choose that.
pub fn identify<'a>(
    rules: &'a [IdentityRule],
    facts: &Facts<'_>,
) -> Result<Option<Identity<'a>>, TooLarge> {
    let Some(claims) = facts.claims else {
        return Ok(None);
    };
    for rule in rules {
        if rule.when.iter().all(|condition| condition.holds(facts))
            && let Some(workload) = rule.workload.fill(claims)?
        {
            let rule = &rule.name;
            return Ok(Some(Identity { rule, workload }));
        }
    }
    Ok(None)
}

/// A SPIFFE id with places for claims: `spiffe://cluster.local/ns/people/sa/{claim:sub}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Claim(ClaimPath),
    Literal(String),
    /// `sub`, unescaped.
    Subject,
}

impl Template {
    /// Reads a template. Claims stand in the path only, at most one in a segment, so that two
    /// different values can never give the same id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("spiffe://")?;
        let (trust_domain, path) = rest.split_once('/')?;
        let is_domain_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        if trust_domain.is_empty() || !trust_domain.bytes().all(is_domain_byte) {
            return None;
        }
        let mut pieces = Vec::new();
        let mut literal = format!("spiffe://{trust_domain}");
        // A quoted claim name may hold slashes, so segments end where no brace is open.
        let mut left = path;
        loop {
            literal.push('/');
            let before = left.find(['/', '{']).unwrap_or(left.len());
            let (front, after) = left.split_at(before);
            literal.push_str(front);
            let segment_is_filled = if let Some(claim) = after.strip_prefix("{claim:") {
                let (path, after) = claim.split_once('}')?;
                pieces.push(Piece::Literal(core::mem::take(&mut literal)));
                pieces.push(Piece::Claim(ClaimPath::parse(path)?));
                let (back, after) = after.split_at(after.find('/').unwrap_or(after.len()));
                literal.push_str(back);
                left = after;
                is_segment_part(front) && is_segment_part(back)
            } else {
                left = after;
                is_segment_part(front) && !matches!(front, "" | "." | "..")
            };
            if !segment_is_filled {
                return None;
            }
            match left.strip_prefix('/') {
                Some(next) => left = next,
                None if left.is_empty() => break,
                None => return None,
            }
        }
        pieces.push(Piece::Literal(literal));
        Some(Self(pieces))
    }

    /// The subject as it is. Only for a provider whose subjects are SPIFFE ids.
    #[must_use]
    pub fn subject() -> Self {
        Self(alloc::vec![Piece::Subject])
    }

    /// The claims that it takes values from, besides `sub` as it is.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Claim(path) => Some(path),
            Piece::Literal(_) | Piece::Subject => None,
        })
    }

    /// The bytes of it that are no claim's.
    #[must_use]
    pub fn literal_bytes(&self) -> usize {
        let literal = |piece: &Piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Claim(_) | Piece::Subject => 0,
        };
        self.0.iter().map(literal).sum()
    }

    /// The id for these claims; nothing when a claim is missing, is neither text nor integer, or is empty.
    fn fill(&self, claims: &Claims) -> Result<Option<String>, TooLarge> {
        let mut id = String::new();
        for piece in &self.0 {
            let value = match piece {
                Piece::Literal(text) => {
                    id.push_str(text);
                    continue;
                }
                Piece::Subject => claims.top("sub").and_then(Value::as_str).map(Cow::Borrowed),
                Piece::Claim(path) => claims.at(path).and_then(claims::single),
            };
            match (piece, value) {
                (_, None) => return Ok(None),
                (Piece::Claim(_), Some(value)) if value.len() > VALUE_LIMIT => {
                    return Err(TooLarge);
                }
                (Piece::Claim(_), Some(value)) => id.push_str(&escaped(&value)),
                (_, Some(value)) => id.push_str(&value),
            }
        }
        if id.len() > ID_LIMIT {
            return Err(TooLarge);
        }
        Ok(Some(id))
    }
}

/// Whether `text` is a SPIFFE id with a path, in exactly this trust domain (SPIFFE-ID section 2).
#[must_use]
pub fn is_in_trust_domain(text: &str, domain: &str) -> bool {
    let path = text
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(domain));
    path.is_some_and(|path| path.starts_with('/'))
        && text.len() <= ID_LIMIT
        && !text.contains('{')
        && Template::parse(text).is_some()
}

/// The trust domain of a SPIFFE id, as `spiffe://DOMAIN`. The rest of the id is not looked at.
#[must_use]
pub fn trust_domain(text: &str) -> Option<&str> {
    let slash = text.strip_prefix("spiffe://")?.find('/')?;
    text.get(.."spiffe://".len() + slash)
}

/// Letters, digits and `-` stay, a `.` stays where it is not first, and every other byte becomes `_`
/// and two upper-case hexadecimal digits. The result is one path segment, never a dot segment, and no
/// two values have the same.
#[must_use]
pub fn escaped(value: &str) -> String {
    let mut segment = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && !segment.is_empty()) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("_{byte:02X}"));
        }
    }
    segment
}

pub(crate) fn is_segment_part(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Bytes of a claim's value.
const VALUE_LIMIT: usize = 255;
/// SPIFFE-ID section 2.3.
pub(crate) const ID_LIMIT: usize = 2048;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn fill(template: &str, claims: &str) -> Result<Option<String>, TooLarge> {
        Template::parse(template)
            .unwrap()
            .fill(&Claims::parse(claims.as_bytes()).unwrap())
    }

    #[test]
    fn claims_are_escaped_into_one_segment() {
        let cases = [
            (r#"{"sub":"alice"}"#, Some("spiffe://a/sa/alice")),
            (
                r#"{"sub":"alice@example.com"}"#,
                Some("spiffe://a/sa/alice_40example.com"),
            ),
            (r#"{"sub":"a_b"}"#, Some("spiffe://a/sa/a_5Fb")),
            (r#"{"sub":"../admin"}"#, Some("spiffe://a/sa/_2E._2Fadmin")),
            (r#"{"sub":"."}"#, Some("spiffe://a/sa/_2E")),
            (r#"{"sub":"é\r\n"}"#, Some("spiffe://a/sa/_C3_A9_0D_0A")),
            (r#"{"sub":7}"#, Some("spiffe://a/sa/7")),
            (r#"{"sub":1.5}"#, None),
            (r#"{"sub":""}"#, None),
            (r#"{"sub":["a"]}"#, None),
            (r#"{}"#, None),
        ];
        for (claims, want) in cases {
            assert_eq!(
                fill("spiffe://a/sa/{claim:sub}", claims),
                Ok(want.map(String::from)),
                "{claims}"
            );
        }
        assert_eq!(
            fill("spiffe://a/x-{claim:\"k/k\".n}.y/z", r#"{"k/k":{"n":"v"}}"#),
            Ok(Some("spiffe://a/x-v.y/z".into()))
        );
    }

    #[test]
    fn templates_that_are_no_spiffe_id_are_refused() {
        for template in [
            "",
            "http://a/b",
            "spiffe://a",
            "spiffe://a/",
            "spiffe:///b",
            "spiffe://A/b",
            "spiffe://a:1/b",
            "spiffe://a/b/",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/..",
            "spiffe://a/b c",
            "spiffe://a/%41",
            "spiffe://{claim:sub}/b",
            "spiffe://a/{sub}",
            "spiffe://a/{claim:}",
            "spiffe://a/{claim:sub",
            "spiffe://a/{claim:a}{claim:b}",
            "spiffe://a/{claim:a}-{claim:b}",
            "spiffe://a/b?c",
            "spiffe://a/b}",
        ] {
            assert_eq!(Template::parse(template), None, "{template}");
        }
    }

    #[test]
    fn the_first_rule_that_can_be_filled_decides() {
        let rule = |name: &str, workload: &str| IdentityRule {
            name: name.into(),
            when: vec![],
            workload: Template::parse(workload).unwrap(),
        };
        let rules = [
            rule("a", "spiffe://t/{claim:missing}"),
            rule("b", "spiffe://t/b"),
            rule("c", "spiffe://t/c"),
        ];
        let claims = Claims::parse(b"{}").unwrap();
        let facts = Facts {
            claims: Some(&claims),
            ..Facts::default()
        };
        let identity = identify(&rules, &facts).unwrap().unwrap();
        assert_eq!(
            (identity.rule, identity.workload.as_str()),
            ("b", "spiffe://t/b")
        );
    }

    proptest! {
        #[test]
        fn two_values_never_give_one_segment(one in "[a-c._/@%]{1,6}|\\PC{1,4}", two in "[a-c._/@%]{1,6}|\\PC{1,4}") {
            prop_assert_eq!(escaped(&one) == escaped(&two), one == two);
            prop_assert!(is_segment_part(&escaped(&one)));
            prop_assert!(!matches!(escaped(&one).as_str(), "" | "." | ".."));
        }
    }
}
