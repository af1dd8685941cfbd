//! The operation of a rule: methods, hosts and paths.

use identity_filter::host::HostPattern;
use serde_json::Value;

use super::level::Level;
use super::pattern::{self, Lean, Said, Text};
use super::rule::{Asked, Context, NO_TEXTS, texts};

pub(crate) fn ask(
    context: &mut Context<'_, '_>,
    asked: &mut Asked,
    at: &str,
    operation: Option<&Value>,
) {
    let Some(operation) = operation
        .and_then(Value::as_object)
        .filter(|one| !one.is_empty())
    else {
        return context.cannot(asked, at, "is empty");
    };
    for (field, values) in operation {
        let at = format!("{at}.{field}");
        let Some(values) = texts(values) else {
            context.cannot(asked, &at, NO_TEXTS);
            continue;
        };
        let is_rewritten = context.target.is_rewritten && context.level != Level::Gateway;
        match field.as_str() {
            "methods" => methods(context, asked, &at, &values),
            "notMethods" if !context.is_deny => other_methods(context, asked, &at, &values),
            "hosts" | "paths" if is_rewritten => {
                context.cannot(
                    asked,
                    &at,
                    "a VirtualService rewrites host or path on the way to these workloads",
                );
            }
            "hosts" => hosts(context, asked, &at, &values),
            "paths" => paths(context, asked, &at, &values),
            "notMethods" | "notHosts" | "notPaths" => {
                context.cannot(
                    asked,
                    &at,
                    "a rule names what it is about, not what it is not about",
                );
            }
            "ports" | "notPorts" => context.cannot(
                asked,
                &at,
                "ports are for the gateway's listeners to choose by",
            ),
            _ => context.cannot(asked, &at, "nothing is known of this field"),
        }
    }
}

fn methods(context: &mut Context<'_, '_>, asked: &mut Asked, at: &str, values: &[&str]) {
    let mut found = Vec::new();
    for value in values {
        match Text::read(value) {
            Text::Present => return,
            Text::Exact(method) if is_method(method) => found.push(method.to_owned()),
            _ => {
                return context.cannot(asked, at, "a method is written out, in upper case");
            }
        }
    }
    asked.methods = Some(found);
}

/// The methods that there are without some of them.
fn other_methods(context: &mut Context<'_, '_>, asked: &mut Asked, at: &str, values: &[&str]) {
    if !values.iter().all(|value| is_method(value)) {
        return context.cannot(asked, at, "a method is written out, in upper case");
    }
    let rest: Vec<_> = METHODS
        .into_iter()
        .filter(|method| !values.contains(method))
        .map(String::from)
        .collect();
    context.losses.add(
        context.policy,
        at,
        "a rule names the methods that it is about",
        format!(
            "the rule is about {}, and about no method of another name",
            rest.join(", ")
        ),
    );
    asked.is_void |= rest.is_empty();
    asked.methods = Some(rest);
}

fn is_method(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

fn hosts(context: &mut Context<'_, '_>, asked: &mut Asked, at: &str, values: &[&str]) {
    let mut found = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match pattern::host(value, context.lean(true)) {
            Said::All => return,
            Said::This(host) | Said::Nearly(host, _) => {
                let pattern = HostPattern::parse(&host);
                let is_met = context.target.routes.iter().any(|(route, _)| {
                    HostPattern::parse(route)
                        .zip(pattern.as_ref())
                        .is_some_and(|(route, host)| route.overlaps(host))
                });
                // What is not the namespace's never comes to its rules.
                if is_met && !found.contains(&host) {
                    found.push(host);
                }
            }
            Said::No(why) if context.is_deny => return context.cannot(asked, &at, why),
            Said::No(why) => {
                context
                    .losses
                    .add(context.policy, &at, why, "the rule is not about this host")
            }
        }
    }
    asked.is_void |= found.is_empty();
    asked.hosts = Some(found);
}

fn paths(context: &mut Context<'_, '_>, asked: &mut Asked, at: &str, values: &[&str]) {
    let mut found: Vec<String> = Vec::new();
    let lean = context.lean(true);
    for (index, value) in values.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match pattern::path(value, lean) {
            Said::All => return,
            Said::This(path) => found.push(path),
            Said::Nearly(path, why) => {
                let more = if lean == Lean::Wide { "more" } else { "less" };
                context.losses.add(
                    context.policy,
                    &at,
                    why,
                    format!("the rule is about {path}, which is {more}"),
                );
                found.push(path);
            }
            Said::No(why) if context.is_deny => return context.cannot(asked, &at, why),
            Said::No(why) => {
                context
                    .losses
                    .add(context.policy, &at, why, "the rule is not about this path")
            }
        }
    }
    found.dedup();
    asked.is_void |= found.is_empty();
    asked.paths = Some(found);
}

/// RFC 9110 section 9 without `CONNECT`, and RFC 5789.
const METHODS: [&str; 8] = [
    "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];
