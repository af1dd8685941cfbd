//! What is asked for, and whose it is.

use identity_filter::decision::Denial;
use identity_filter::host::Host;
use identity_filter::namespace::Namespace;
use identity_filter::path;
use identity_filter::policy::Operation;

use super::{Finding, Step, Verdict};
use crate::question::Request;
use crate::words::quoted;

pub(crate) fn steps(
    request: &Request,
    operation: Result<&Operation, Denial>,
    routes: &[(String, &Namespace)],
) -> Vec<Step> {
    let path_came =
        String::from_utf8_lossy(path::split_query(request.path.as_bytes()).0).into_owned();
    let findings = match operation {
        Ok(operation) => {
            let canonical = |name: &str, came: &str, canonical: &str| {
                let detail = if came == canonical {
                    quoted(canonical)
                } else {
                    format!("{} (came as {})", quoted(canonical), quoted(came))
                };
                Finding::new(name, Verdict::Is, detail)
            };
            vec![
                Finding::new("method", Verdict::Is, quoted(&operation.method)),
                canonical("host", &request.host, operation.host.as_str()),
                canonical("path", &path_came, operation.path.as_str()),
            ]
        }
        Err(denial) => {
            let refused = |name: &str, came: &str, why: String| {
                Finding::new(name, Verdict::No, format!("{}: {why}", quoted(came)))
            };
            vec![match denial {
                Denial::HostInvalid if Host::parse(request.host.as_bytes()).is_some() => refused(
                    "host",
                    &request.host,
                    "a `host` header names another one".into(),
                ),
                Denial::HostInvalid => {
                    let why = "not a plain host name, with or without a port";
                    refused("host", &request.host, why.into())
                }
                Denial::PathAmbiguous if request.path.contains('#') => {
                    let why = "it has a fragment, which is no part of a request's target";
                    refused("path", &request.path, why.into())
                }
                Denial::PathAmbiguous => {
                    let why = path::Refusal::of(path_came.as_bytes());
                    let why = why.map_or_else(String::new, |why| format!("it has {why}"));
                    refused("path", &path_came, why)
                }
                _ => refused(
                    "method",
                    &request.method,
                    "not a method of 1 to 32 letters".into(),
                ),
            }]
        }
    };
    let mut steps = vec![Step {
        step: "request",
        findings,
    }];
    if operation.is_ok() {
        steps.push(namespace(routes));
    }
    steps
}

fn namespace(routes: &[(String, &Namespace)]) -> Step {
    let mut findings = Vec::new();
    for (index, (route, namespace)) in routes.iter().take(2).enumerate() {
        findings.push(match index {
            0 => Finding::new(
                &namespace.name,
                Verdict::Decides,
                format!("by its route {}", quoted(route)),
            ),
            _ => Finding::new(
                &namespace.name,
                Verdict::No,
                format!("its route {} fits too, and is less specific", quoted(route)),
            ),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::new(
            "none",
            Verdict::No,
            "no namespace has a route for this host and path",
        ));
    }
    Step {
        step: "namespace",
        findings,
    }
}
