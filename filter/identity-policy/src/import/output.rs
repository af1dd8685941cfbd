//! The configuration that comes out: as a document, and as YAML with remarks.

use serde_json::{Map, Value, json};

use super::provider::Provider;
use super::target::Target;

/// An entry of one of its lists, its members in the order in which they are read best.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    remarks: Vec<String>,
    members: Vec<(&'static str, Value)>,
}

impl Entry {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            remarks: Vec::new(),
            members: Vec::new(),
        }
    }

    pub(crate) fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    pub(crate) fn set(&mut self, member: &'static str, value: Value) {
        self.members.push((member, value));
    }

    pub(crate) fn get(&self, member: &str) -> Option<&Value> {
        self.members
            .iter()
            .find(|(name, _)| *name == member)
            .map(|(_, value)| value)
    }

    fn document(&self) -> Value {
        let members = self
            .members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        Value::Object(
            std::iter::once(("name".to_owned(), self.name.clone().into()))
                .chain(members)
                .collect(),
        )
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Output {
    providers: Vec<Entry>,
    namespaces: Vec<Entry>,
    rules: Vec<Entry>,
    pub(crate) forward_token: bool,
}

impl Output {
    pub(crate) fn add_provider(&mut self, provider: &Provider<'_>) {
        self.providers.push(provider.entry.clone());
    }

    pub(crate) fn add_namespace(&mut self, target: &Target) {
        let mut entry = Entry::new(&target.name);
        let routes = target
            .routes
            .iter()
            .map(|(host, prefix)| match prefix.as_str() {
                "/" => json!({"host": host}),
                _ => json!({"host": host, "path_prefix": prefix}),
            });
        entry.set("routes", routes.collect::<Vec<_>>().into());
        if target.is_undecided {
            entry.remark("nobody is let in here: see what could not be carried over".into());
        }
        self.namespaces.push(entry);
    }

    pub(crate) fn add_rule(&mut self, target: &Target, rule: &Entry) {
        let mut rule = rule.clone();
        rule.members
            .insert(0, ("namespace", target.name.clone().into()));
        // Names are unique in the whole list: the namespace's is in front, and a number behind where it must be.
        let full = format!("{}.{}", target.name, rule.name.replace(['[', ']'], ""));
        let plain: String = full.chars().take(60).collect();
        let is_taken = |name: &str| self.rules.iter().any(|other| other.name == name);
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        rule.name = std::iter::once(plain.clone())
            .chain(numbered)
            .find(|name| !is_taken(name))
            .unwrap_or_else(|| plain.clone());
        self.rules.push(rule);
    }

    pub(crate) fn document(&self) -> Value {
        let all = |entries: &[Entry]| entries.iter().map(Entry::document).collect::<Vec<_>>();
        let mut document = json!({
            "providers": all(&self.providers), "namespaces": all(&self.namespaces),
            "policy": {"rules": all(&self.rules)},
        });
        if self.forward_token {
            document["headers"] = json!({"forward_token": true});
        }
        document
    }

    pub(crate) fn yaml(&self) -> String {
        let mut text = String::from(HEAD);
        write(&mut text, "", "providers", &self.providers);
        write(&mut text, "", "namespaces", &self.namespaces);
        text.push_str("policy:\n");
        write(&mut text, "  ", "rules", &self.rules);
        if self.forward_token {
            text.push_str("headers:\n  forward_token: true\n");
        }
        text
    }
}

fn write(text: &mut String, indent: &str, name: &str, entries: &[Entry]) {
    if entries.is_empty() {
        text.push_str(&format!("{indent}{name}: []\n"));
        return;
    }
    text.push_str(&format!("{indent}{name}:\n"));
    for entry in entries {
        for remark in &entry.remarks {
            // A remark is one line, whatever a resource is called.
            let plain: String = remark
                .chars()
                .filter(|letter| !letter.is_control())
                .collect();
            text.push_str(&format!("{indent}# {plain}\n"));
        }
        text.push_str(&format!(
            "{indent}- name: {}\n",
            flow(&entry.name.clone().into())
        ));
        for (member, value) in &entry.members {
            text.push_str(&format!("{indent}  {member}:"));
            put(text, indent.len() + 2, value);
        }
    }
}

/// A value behind the name of a member at this depth: on the same line where it fits, below it otherwise.
fn put(text: &mut String, depth: usize, value: &Value) {
    let line = flow(value);
    let begun = text.len() - text.rfind('\n').unwrap_or_default();
    let pad = " ".repeat(depth);
    match value {
        Value::Array(values) if begun + line.len() > WIDTH => {
            text.push('\n');
            for value in values {
                text.push_str(&format!("{pad}-"));
                match value {
                    Value::Object(members) if depth + flow(value).len() > WIDTH => {
                        for (index, (name, value)) in members.iter().enumerate() {
                            let start = if index == 0 { " " } else { &format!("{pad}  ") };
                            text.push_str(&format!("{start}{}:", flow(&name.clone().into())));
                            put(text, depth + 2, value);
                        }
                    }
                    value => text.push_str(&format!(" {}\n", flow(value))),
                }
            }
        }
        Value::Object(members) if begun + line.len() > WIDTH => {
            text.push('\n');
            for (name, value) in members {
                text.push_str(&format!("{pad}  {}:", flow(&name.clone().into())));
                put(text, depth + 2, value);
            }
        }
        _ => text.push_str(&format!(" {line}\n")),
    }
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(values) => {
            format!(
                "[{}]",
                values.iter().map(flow).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Object(members) => format!("{{ {} }}", pairs(members)),
        value => value.to_string(),
    }
}

fn pairs(members: &Map<String, Value>) -> String {
    // What a condition is about stands before what it says of it.
    let rank = |name: &str| !matches!(name, "claim" | "attribute" | "header" | "host" | "cluster");
    let mut pairs: Vec<_> = members.iter().collect();
    pairs.sort_by_key(|(name, _)| rank(name));
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| format!("{}: {}", flow(&name.clone().into()), flow(value)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Whether a text without quotes is the same text to every reader of YAML.
fn is_plain(text: &str) -> bool {
    let is_word = matches!(text.as_bytes().first(), Some(first) if first.is_ascii_alphabetic() || *first == b'/');
    let is_other = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    is_word
        && !is_other
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
}

const HEAD: &str = "\
# From Istio's RequestAuthentication and AuthorizationPolicy, by `identity-policy import istio`. Read it before use.
# Other than there, always: a token in the query (access_token) is not looked for; a path with a slash at its end and
# one without are one; the port in a host makes no difference; a header that a rule asks for must be there once at most.
# Each issuer needs a ServiceEntry (or a Service) of the host in its `cluster`. Name only the algorithms it uses.
";
/// How long a line becomes before a list or an object goes below its name.
const WIDTH: usize = 118;
