//! A file of cases: requests, their callers, and what is expected to be decided about them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use identity_filter::decision::Denial;
use identity_filter::time::UnixTime;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::clock;
use crate::document::Source;
use crate::error::Error;
use crate::place::{Place, steps};
use crate::policy::Policy;
use crate::question::{Certificate, Question, Request};
use crate::report::Report;

/// A case, ready to be asked.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) question: Question,
    /// File, line and column.
    pub(crate) place: String,
    pub(crate) expect: Option<Expect>,
}

impl Case {
    /// Lets the core decide.
    pub(crate) fn ask(&self, policy: &Policy<'_>) -> Result<Report, Error> {
        self.question.ask(policy).map_err(|error| match error {
            Error::Caller(problem) => self.error(problem.to_string()),
            error => error,
        })
    }

    /// What keeps it from being asked.
    pub(crate) fn error(&self, problem: String) -> Error {
        Error::Case {
            at: self.place.clone(),
            name: self.name.clone(),
            problem,
        }
    }
}

/// What is expected; what is not written does not matter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) decision: Decision,
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<Denial>,
    /// `null`: no rule decides.
    #[serde(default, deserialize_with = "written")]
    pub(crate) rule: Option<Option<String>>,
    pub(crate) namespace: Option<String>,
    /// `null`: none.
    #[serde(default, deserialize_with = "written")]
    pub(crate) workload: Option<Option<String>>,
    /// All of them, in any order.
    pub(crate) roles: Option<BTreeSet<String>>,
    /// What would be decided if every rule were enforced.
    pub(crate) shadow: Option<Decision>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    Allow,
    Deny,
}

impl Decision {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    at: Option<String>,
    cases: Vec<WrittenCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    name: String,
    request: WrittenRequest,
    caller: Option<WrittenCaller>,
    expect: Option<Expect>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRequest {
    method: Option<String>,
    host: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    source: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCaller {
    #[serde(default)]
    anonymous: bool,
    provider: Option<String>,
    /// Not JSON at once: that would keep the last of two claims with the same name.
    claims: Option<serde_yaml_ng::Mapping>,
    certificate: Option<String>,
    certificate_sha256: Option<String>,
}

/// Reads the cases of a file.
pub(crate) fn read(source: &Source) -> Result<Vec<Case>, Error> {
    let malformed = |place: Option<Place>, problem: String| Error::Malformed {
        file: source.name.clone(),
        place,
        problem,
    };
    let written: WrittenFile = serde_yaml_ng::from_str(&source.text).map_err(|error| {
        let text = error.to_string();
        // The place stands before it already.
        let problem = text.split(" at line ").next().unwrap_or(&text).to_owned();
        malformed(Place::of(&error), problem)
    })?;
    let at = |at: &str| Place::find(&source.text, 0, &steps(at));
    let now = match &written.at {
        None => clock::at(None)?,
        Some(text) => clock::parse(text).ok_or_else(|| {
            let problem = "at: a time in UTC such as 2026-11-30T12:00:00Z is allowed";
            malformed(at("at"), problem.into())
        })?,
    };
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for (index, case) in written.cases.into_iter().enumerate() {
        let here = format!("cases[{index}]");
        if !names.insert(case.name.clone()) {
            let problem = format!("{here}.name: {:?} is there twice", case.name);
            return Err(malformed(at(&format!("{here}.name")), problem));
        }
        let place = format!("{}{}", source.name, Place::suffix(at(&here)));
        cases.push(build(case, now, place).map_err(|mistake| {
            let field = format!("{here}.{}", mistake.field);
            malformed(at(&field), format!("{field}: {}", mistake.problem))
        })?);
    }
    Ok(cases)
}

/// What is wrong with a case.
struct Mistake {
    field: &'static str,
    problem: &'static str,
}

fn build(case: WrittenCase, now: UnixTime, place: String) -> Result<Case, Mistake> {
    let written = case.caller.unwrap_or(WrittenCaller {
        anonymous: true,
        ..WrittenCaller::default()
    });
    let caller = match (written.anonymous, written.claims) {
        (true, None) if written.provider.is_none() => Caller::AsInHeaders,
        (false, Some(claims)) => Caller::Claims {
            provider: written.provider,
            claims: members(claims).ok_or(Mistake {
                field: "caller.claims",
                problem: "not the claims of a token: their names are texts",
            })?,
        },
        _ => {
            return Err(Mistake {
                field: "caller",
                problem: "either `claims`, perhaps with their `provider`, or `anonymous: true` must be there",
            });
        }
    };
    let source = match case.request.source {
        None => None,
        Some(text) => Some(address(&text).ok_or(Mistake {
            field: "request.source",
            problem: "an address such as 192.0.2.1 or 2001:db8::1 is allowed",
        })?),
    };
    let headers = case.request.headers.into_iter();
    Ok(Case {
        name: case.name,
        place,
        expect: case.expect,
        question: Question {
            request: Request {
                method: case.request.method.unwrap_or_else(|| "GET".into()),
                host: case.request.host,
                path: case.request.path,
                headers: headers
                    .map(|(name, value)| (name.to_ascii_lowercase(), value))
                    .collect(),
                source,
                certificate: Certificate {
                    spiffe_id: written.certificate,
                    sha256: written.certificate_sha256,
                },
            },
            caller,
            keys: None,
            now,
        },
    })
}

fn members(claims: serde_yaml_ng::Mapping) -> Option<Map<String, Value>> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(claims)) => Some(claims),
        _ => None,
    }
}

/// An address, or one with a port, as the gateway has it: with a port.
pub(crate) fn address(text: &str) -> Option<String> {
    let with_port = || text.parse::<SocketAddr>().ok();
    let address = text
        .parse::<IpAddr>()
        .ok()
        .map(|address| SocketAddr::new(address, 0));
    address
        .or_else(with_port)
        .map(|address| address.to_string())
}

/// Tells `null` from nothing.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}
