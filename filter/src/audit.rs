//! One record per decision: who asked for what, what was decided, and by which rule. A denial is a line of the
//! log; what was let in is in the gateway's access log, for which the filter adds what only it knows. Never a token, a
//! signature or a query string.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::decision::Denial;
use crate::grant::Role;

/// What the gateway's access log does not know by itself about a request that was let in. The members
/// mean the same as those of [`AuditRecord`].
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "they have their names and meaning from `AuditRecord`"
)]
pub struct AllowRecord<'a> {
    pub decision_id: &'a str,
    pub provider: Option<&'a str>,
    pub subject: Option<&'a str>,
    pub workload: Option<&'a str>,
    pub roles: Option<&'a [Role]>,
    pub certificate_bound: Option<bool>,
    pub namespace: Option<&'a str>,
    pub identity: Option<&'a str>,
    pub grants: Option<&'a [String]>,
    pub rule: Option<&'a str>,
    pub path_template: Option<&'a str>,
    pub duration_microseconds: u64,
    pub waited_microseconds: Option<u64>,
    pub shadow: Option<&'a Shadow>,
}

impl AllowRecord<'_> {
    /// The record as one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What would be decided if every rule were enforced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The rule that would decide.
    pub rule: Option<String>,
    /// Why, on a denial.
    pub reason: Option<Denial>,
}

/// The record. A fact that is not known is `null`.
#[derive(Debug, Default, Serialize)]
pub struct AuditRecord {
    /// Always `audit`: readers of a shared log pick the records by it.
    pub r#type: &'static str,
    /// RFC 3339, UTC.
    pub time: String,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// Also in the response to a denied request and in the headers of an allowed one.
    pub decision_id: String,
    /// The front's id of the downstream connection.
    pub connection_id: Option<String>,
    /// The gateway's `x-request-id`.
    pub request_id: Option<String>,
    /// Address and port of the client.
    pub source: Option<String>,
    /// Whose token it was. Facts about the caller stand here only after the token was verified.
    pub provider: Option<String>,
    /// Issuer and `sub`, as in the header.
    pub subject: Option<String>,
    /// The workload identity.
    pub workload: Option<String>,
    /// The roles in this namespace.
    pub roles: Option<Vec<Role>>,
    /// Whether the token was bound to the client certificate of the connection.
    pub certificate_bound: Option<bool>,
    /// The namespace of the request.
    pub namespace: Option<String>,
    /// The mapping rule that gave the workload identity.
    pub identity: Option<String>,
    /// The grants that gave the roles.
    pub grants: Option<Vec<String>>,
    /// The policy rule that decided.
    pub rule: Option<String>,
    /// As it came.
    pub method: Option<String>,
    /// Canonical, or as it came where it has no canonical form.
    pub host: Option<String>,
    /// Canonical, or as it came where it has no canonical form; without the query.
    pub path: Option<String>,
    /// The pattern of the rule's that means the path, as it is configured; of a rule without one, `/**`. Where no
    /// rule has decided there is none.
    pub path_template: Option<String>,
    /// What the decision took, without what it waited for.
    pub duration_microseconds: u64,
    /// How long the request waited for keys, if it did.
    pub waited_microseconds: Option<u64>,
    /// Where rules in shadow mode would decide otherwise: what they would.
    pub shadow: Option<Shadow>,
    /// What the sender got, on a denial.
    pub status: Option<u16>,
    /// Why, on a denial.
    pub reason: Option<Denial>,
}

impl AuditRecord {
    /// The record as one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Which of the requests that are let in have a line of the log: one in so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample(u32);

impl Sample {
    /// Every one.
    pub const ALL: Self = Self(1);

    /// The rarest sample that can be asked for.
    pub const RAREST: u32 = 1_000_000;

    /// One in `count`; nothing outside 1 to [`Self::RAREST`].
    #[must_use]
    pub fn one_in(count: u32) -> Option<Self> {
        (1..=Self::RAREST).contains(&count).then_some(Self(count))
    }

    /// Whether this decision is in the sample. The last 48 bits of an id count up within a worker; they are spread
    /// first, so that a pattern in the order of requests is none in the sample. What is no id is in.
    #[must_use]
    pub fn takes(self, decision_id: &str) -> bool {
        let digits = decision_id.rsplit('-').next().unwrap_or_default();
        let Ok(number) = u64::from_str_radix(digits, 16) else {
            return true;
        };
        // Less than 2^64 / count.
        let spread = number.wrapping_mul(GOLDEN_RATIO);
        spread.checked_mul(self.0.into()).is_some()
    }
}

/// 2^64 divided by the golden ratio: multiples of it, modulo 2^64, are spread evenly (Knuth, The Art of Computer
/// Programming, volume 3, section 6.4).
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes from the network for a record: at most 256 of them, as text.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..256).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::DecisionIds;
    use crate::time::UnixTime;

    #[test]
    fn a_record_is_one_line_that_begins_with_its_type() {
        let record = AuditRecord {
            r#type: "audit",
            decision: "deny",
            path: Some(excerpt(b"/a\n\xff\"")),
            reason: Some(Denial::TokenMissing),
            ..AuditRecord::default()
        };
        let line = record.line();
        assert!(
            line.starts_with(r#"{"type":"audit","time":"","decision":"deny","#),
            "{line}"
        );
        assert!(line.contains(r#""connection_id":null"#), "{line}");
        assert!(line.contains(r#""path":"/a\n"#), "{line}");
        assert!(
            line.ends_with(r#""status":null,"reason":"token_missing"}"#),
            "{line}"
        );
        assert!(!line.contains('\n'));
    }

    #[test]
    fn a_sample_has_its_share_whatever_pattern_requests_come_in() {
        let now = UnixTime::from_millis(1_795_393_482_123);
        for (one_in, of_each) in [(1, 10_000), (2, 5_000), (10, 1_000), (100, 100)] {
            let sample = Sample::one_in(one_in).unwrap();
            for period in [1, 2, 10] {
                let mut ids = DecisionIds::new(7);
                let ids = (0..10_000 * period).map(|_| ids.next(now));
                let taken = ids.step_by(period).filter(|id| sample.takes(id)).count();
                assert!(
                    taken.abs_diff(of_each) <= of_each / 10 + 2,
                    "one in {one_in}, every {period}th request: {taken}"
                );
            }
        }
        assert_eq!(Sample::one_in(0), None);
        assert_eq!(Sample::one_in(Sample::RAREST + 1), None);
        let rarest = Sample::one_in(Sample::RAREST).unwrap();
        let id = "01a2b3c4-d5e6-7000-8000-000000000001";
        assert_eq!(rarest.takes(id), rarest.takes(id));
        assert!(!rarest.takes(id));
        assert!(rarest.takes("no id"));
    }

    #[test]
    fn an_excerpt_is_bounded() {
        assert_eq!(excerpt(&[b'a'; 1000]).len(), 256);
        assert_eq!(excerpt(b"abc"), "abc");
    }
}
