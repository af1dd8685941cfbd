//! `explain --record`: a decision that was made, beside what the configuration decides now.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::args;
use crate::cases;
use crate::clock;
use crate::document::Source;
use crate::error::Error;
use crate::explain;
use crate::paint;
use crate::policy::Policy;
use crate::question::Question;
use crate::report::Report;
use crate::words::quoted;

mod find;
mod replay;

/// Why a log gives no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Facts that the access log has in a form of its own.
    #[error("{file}: the record has no {what}; give it with --{what}")]
    Incomplete { file: String, what: &'static str },
    /// There is none.
    #[error(
        "{file}: no audit record: neither a line of the filter's log nor what it puts into the access log"
    )]
    NoRecord { file: String },
    /// There are several.
    #[error("{file}: {count} audit records; say which with --decision ID")]
    Several { file: String, count: usize },
    /// A record of a refused token.
    #[error(
        "decision {id} was {reason}: {meaning}. A record does not hold the token: give it with --token, or what it \
         says with --claims"
    )]
    TokenMissing {
        id: String,
        reason: String,
        meaning: String,
    },
    /// None has this id.
    #[error("{file}: no audit record of decision {id}")]
    Unknown { file: String, id: String },
}

/// What a record says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recorded {
    pub(crate) decision: String,
    pub(crate) decision_id: String,
    pub(crate) time: Option<String>,
    pub(crate) status: Option<u64>,
    pub(crate) reason: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) workload: Option<String>,
    pub(crate) identity: Option<String>,
    pub(crate) grants: Option<Vec<String>>,
    pub(crate) roles: Option<Vec<String>>,
    pub(crate) method: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) source: Option<String>,
}

/// A fact that is another one now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) field: &'static str,
    pub(crate) recorded: String,
    pub(crate) now: String,
}

/// A replay: what was recorded, where that differs, and what could not be asked again.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Replay {
    pub(crate) recorded: Recorded,
    pub(crate) differences: Vec<Difference>,
    pub(crate) not_replayed: Vec<String>,
}

pub(crate) fn run(
    args: &args::Explain,
    policy: &Policy<'_>,
    file: &Path,
    output: &mut dyn Write,
) -> Result<u8, Error> {
    let source = Source::read(file)?;
    let mut recorded = find::pick(&source, args.decision.as_deref())?;
    let given = [
        (&mut recorded.method, &args.method),
        (&mut recorded.host, &args.host),
        (&mut recorded.path, &args.path),
        (&mut recorded.source, &args.source),
    ];
    for (fact, given) in given {
        if let Some(given) = given {
            *fact = Some(given.clone());
        }
    }
    let fact = |what: &'static str, fact: &Option<String>| {
        fact.clone().ok_or_else(|| RecordError::Incomplete {
            file: source.name.clone(),
            what,
        })
    };
    let mut request = explain::request(args)?;
    request.method = fact("method", &recorded.method)?;
    request.host = fact("host", &recorded.host)?;
    request.path = fact("path", &recorded.path)?;
    request.source = recorded.source.as_deref().and_then(cases::address);
    let caller = explain::caller(args)?;
    let is_complete = args.token.is_some() || args.claims.is_some();
    let (mut report, mut not_replayed) = if is_complete || recorded.provider.is_none() {
        if !is_complete {
            recorded.check_anonymous()?;
        }
        let question = Question {
            request: request.clone(),
            caller,
            keys: explain::keys(args)?,
            now: match recorded.time.as_deref().and_then(clock::parse) {
                Some(then) if args.at.is_none() => then,
                _ => clock::at(args.at.as_deref())?,
            },
        };
        (question.ask(policy)?, Vec::new())
    } else {
        replay::replay(policy, &recorded, &request)?
    };
    not_replayed.extend(replay::unknown(policy, &report, &request)?);
    report.replay = Some(Replay {
        differences: recorded.differences(&report),
        recorded,
        not_replayed,
    });
    explain::write(&report, args.json, output)?;
    Ok(u8::from(report.decision == "deny"))
}

impl Recorded {
    fn read(record: &Value) -> Self {
        let text = |name: &str| record[name].as_str().map(String::from);
        let texts = |name: &str| {
            let texts = record[name].as_array()?.iter();
            Some(
                texts
                    .filter_map(|text| text.as_str().map(String::from))
                    .collect(),
            )
        };
        Self {
            // What goes to the access log is let in, and does not say so.
            decision: text("decision").unwrap_or_else(|| "allow".into()),
            decision_id: text("decision_id").unwrap_or_default(),
            time: text("time"),
            status: record["status"].as_u64(),
            reason: text("reason"),
            rule: text("rule"),
            namespace: text("namespace"),
            provider: text("provider"),
            subject: text("subject"),
            workload: text("workload"),
            identity: text("identity"),
            grants: texts("grants"),
            roles: texts("roles"),
            method: text("method"),
            host: text("host"),
            path: text("path"),
            source: text("source"),
        }
    }

    /// A record without a caller is that of a request without a token, or of one whose token was refused.
    fn check_anonymous(&self) -> Result<(), RecordError> {
        let is_anonymous = matches!(
            self.reason.as_deref(),
            None | Some(
                "header_invalid"
                    | "host_invalid"
                    | "namespace_unknown"
                    | "path_ambiguous"
                    | "rule_denied"
                    | "rule_missing"
                    | "token_missing"
            )
        );
        if is_anonymous {
            return Ok(());
        }
        let reason = self.reason.clone().unwrap_or_default();
        Err(RecordError::TokenMissing {
            id: quoted(&self.decision_id),
            meaning: find::meaning(&reason).into(),
            reason: [
                quoted(&self.decision),
                self.status.unwrap_or_default().to_string(),
                quoted(&reason),
            ]
            .join(" "),
        })
    }

    fn differences(&self, report: &Report) -> Vec<Difference> {
        let none = || "none".to_owned();
        let text = |text: Option<&String>| text.map_or_else(none, Clone::clone);
        let roles = |roles: Option<&Vec<String>>| {
            let roles = roles.filter(|roles| !roles.is_empty());
            roles.map_or_else(none, |roles| roles.join(", "))
        };
        let reason = paint::reason(report.reason);
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        let compared = [
            (
                "decision",
                self.decision.clone(),
                report.decision.to_owned(),
            ),
            ("reason", text(self.reason.as_ref()), text(reason.as_ref())),
            ("rule", text(self.rule.as_ref()), text(report.rule.as_ref())),
            (
                "namespace",
                text(self.namespace.as_ref()),
                text(report.namespace.as_ref()),
            ),
            (
                "workload",
                text(self.workload.as_ref()),
                text(report.workload.as_ref()),
            ),
            (
                "roles",
                roles(self.roles.as_ref()),
                roles(report.roles.as_ref()),
            ),
        ];
        // Of a request that is refused before, nobody asks who is calling.
        let is_known = report.provider.is_some() || self.provider.is_none();
        let differ = |(field, recorded, now)| {
            let is_compared = is_known || !matches!(field, "workload" | "roles");
            (is_compared && recorded != now).then_some(Difference {
                field,
                recorded,
                now,
            })
        };
        compared.into_iter().filter_map(differ).collect()
    }
}
