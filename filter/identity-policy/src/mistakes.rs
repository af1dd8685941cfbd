//! All mistakes of a configuration that can be found, where the core names the first.
//!
//! What is wrong is left out, with what refers to it, and the core is asked again. So no mistake is named that
//! only leaving out has made; one that hides behind another in the same entry comes up when that one is mended.

use identity_filter::config::{Config, ConfigError, Problem};
use serde_json::Value;

use crate::place::{Step, steps};

/// The mistakes, in the order in which the core finds them.
pub(crate) fn find(document: &Value) -> Vec<ConfigError> {
    let mut rest = Rest::new(document);
    let mut found = Vec::new();
    while found.len() < LIMIT
        && let Err(error) = Config::parse(rest.document.to_string().as_bytes())
        && !rest.lacks_what_was_cut(&error)
    {
        let path = steps(&error.at);
        let is_unknown = matches!(&error.problem, Problem::Field { detail } if detail.starts_with("unknown field"));
        found.push(rest.restore(error));
        if !rest.cut(&path, is_unknown) {
            break;
        }
    }
    found
}

/// What is left of a document, and where its entries stood before.
struct Rest {
    document: Value,
    /// For each list of entries, where each of its entries stood.
    places: Vec<(List, Vec<usize>)>,
    /// The names of members that were left out.
    cut: Vec<String>,
}

/// The names that lead to a list of entries.
type List = &'static [&'static str];

impl Rest {
    fn new(document: &Value) -> Self {
        let places = LISTS.into_iter().map(|list| {
            let length = entries(document, list).map_or(0, Vec::len);
            (list, (0..length).collect())
        });
        Self {
            document: document.clone(),
            places: places.collect(),
            cut: Vec::new(),
        }
    }

    /// Whether the error is that a member is missing which was there.
    fn lacks_what_was_cut(&self, error: &ConfigError) -> bool {
        let is_missing = |name: &String| matches!(&error.problem, Problem::Field { detail } if *detail == format!("missing field `{name}`"));
        self.cut.iter().any(is_missing)
    }

    /// The error with the places of the whole document.
    fn restore(&self, error: ConfigError) -> ConfigError {
        ConfigError {
            at: self.restored(&error.at),
            problem: match error.problem {
                Problem::Duplicate { value, other, why } => Problem::Duplicate {
                    value,
                    other: self.restored(&other),
                    why,
                },
                problem => problem,
            },
        }
    }

    fn restored(&self, at: &str) -> String {
        for (list, places) in &self.places {
            let tail = at
                .strip_prefix(&list.join("."))
                .and_then(|tail| tail.strip_prefix('['));
            if let Some((index, tail)) = tail.and_then(|tail| tail.split_once(']'))
                && let Some(place) = index
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| places.get(index))
            {
                return format!("{}[{place}]{tail}", list.join("."));
            }
        }
        at.into()
    }

    /// Leaves out what is wrong. False when nothing can be left out.
    fn cut(&mut self, path: &[Step], is_unknown: bool) -> bool {
        let entry = self.places.iter().position(|(list, _)| {
            path.len() > list.len()
                && list
                    .iter()
                    .zip(path)
                    .all(|(name, step)| *step == Step::Name((*name).into()))
        });
        let index = entry.and_then(|entry| match path.get(self.places[entry].0.len()) {
            Some(Step::Index(index)) => Some(*index),
            _ => None,
        });
        match (entry, index) {
            (Some(entry), Some(index)) if !is_unknown => self.cut_entry(entry, index),
            _ => self.cut_member(path),
        }
    }

    fn cut_entry(&mut self, entry: usize, index: usize) -> bool {
        let (list, places) = &mut self.places[entry];
        let list = *list;
        let Some(entries) = entries_mut(&mut self.document, list) else {
            return false;
        };
        if index >= entries.len() || index >= places.len() {
            return false;
        }
        let removed = entries.remove(index);
        places.remove(index);
        let referrers = match list {
            ["providers"] => "provider",
            ["namespaces"] => "namespace",
            _ => return true,
        };
        let name = &removed["name"];
        if !entries.iter().any(|other| other["name"] == *name) {
            self.cut_referrers(referrers, name);
        }
        true
    }

    /// What names an entry that is gone would be wrong for that alone.
    fn cut_referrers(&mut self, field: &str, name: &Value) {
        for (list, places) in &mut self.places {
            let Some(entries) = entries_mut(&mut self.document, list) else {
                continue;
            };
            let mut index = 0;
            while index < entries.len() && index < places.len() {
                if entries[index].get(field) == Some(name) {
                    entries.remove(index);
                    places.remove(index);
                } else {
                    index += 1;
                }
            }
        }
    }

    fn cut_member(&mut self, path: &[Step]) -> bool {
        let Some((Step::Name(last), way)) = path.split_last() else {
            return false;
        };
        let parent = way
            .iter()
            .try_fold(&mut self.document, |value, step| match step {
                Step::Index(index) => value.get_mut(index),
                Step::Name(name) => value.get_mut(name),
            });
        self.cut.push(last.clone());
        parent
            .and_then(Value::as_object_mut)
            .is_some_and(|members| members.remove(last).is_some())
    }
}

fn entries(document: &Value, list: List) -> Option<&Vec<Value>> {
    list.iter()
        .try_fold(document, |value, name| value.get(name))
        .and_then(Value::as_array)
}

fn entries_mut(document: &mut Value, list: List) -> Option<&mut Vec<Value>> {
    list.iter()
        .try_fold(document, |value, name| value.get_mut(name))
        .and_then(Value::as_array_mut)
}

/// The lists of a configuration whose entries can be left out one by one.
const LISTS: [List; 5] = [
    &["providers"],
    &["namespaces"],
    &["identities"],
    &["grants"],
    &["policy", "rules"],
];
/// Nobody mends more at once.
const LIMIT: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        let provider = |name: &str| {
            json!({"name": name, "issuer": format!("https://{name}"), "audiences": ["x"],
                "algorithms": ["RS256"], "jwks": {"cluster": "c", "uri": "https://a/k"}})
        };
        json!({
            "providers": [provider("a"), provider("b"), provider("c")],
            "namespaces": [{"name": "n", "routes": [{"host": "n"}]}, {"name": "m", "routes": [{"host": "m"}]}],
            "grants": [
                {"name": "g0", "namespace": "n", "provider": "a", "roles": ["r"]},
                {"name": "g1", "namespace": "m", "provider": "b", "roles": ["r"]},
                {"name": "g2", "namespace": "n", "provider": "c", "roles": ["r"]}],
            "policy": {"rules": [
                {"name": "r0", "namespace": "n", "roles": ["r"]},
                {"name": "r1", "namespace": "m", "anonymous": true}]},
        })
    }

    fn places(document: &Value) -> Vec<String> {
        find(document).into_iter().map(|error| error.at).collect()
    }

    #[test]
    fn a_right_configuration_has_no_mistakes() {
        assert_eq!(find(&document()), []);
    }

    #[test]
    fn every_mistake_is_named_at_its_own_place() {
        let mut document = document();
        document["headers"] = json!({"prefix": "no"});
        document["providers"][0]["clock_skew_seconds"] = json!(90);
        document["providers"][2]["surprise"] = json!(1);
        document["providers"][2]["audiences"] = json!([]);
        document["grants"][1]["roles"] = json!(["not a role"]);
        document["policy"]["rules"][0]["methods"] = json!(["get"]);
        document["policy"]["rules"][1]["name"] = json!("r0");
        assert_eq!(
            places(&document),
            [
                "providers[2].surprise",
                "headers.prefix",
                "providers[0].clock_skew_seconds",
                "providers[2].audiences",
                "grants[1].roles[0]",
                "policy.rules[0].methods[0]",
            ],
            "the duplicate name is gone with the rule of the same name"
        );
    }

    #[test]
    fn what_refers_to_something_wrong_is_not_wrong_for_that() {
        let mut document = document();
        document["namespaces"][1]["routes"][0]["host"] = json!("M");
        document["providers"][1]["issuer"] = json!("");
        assert_eq!(
            places(&document),
            ["providers[1].issuer", "namespaces[1].routes[0].host"]
        );
    }

    #[test]
    fn both_places_of_a_duplicate_are_those_of_the_whole_document() {
        let mut document = document();
        document["providers"][0]["issuer"] = json!("");
        document["providers"][2]["issuer"] = json!("https://b");
        let found = find(&document);
        assert_eq!(found[1].at, "providers[2].issuer");
        assert!(
            found[1].to_string().contains("also at providers[1].issuer"),
            "{}",
            found[1]
        );
    }

    #[test]
    fn what_cannot_be_left_out_ends_the_search() {
        assert_eq!(
            places(&json!({"providers": 1, "policy": 2})),
            ["providers", "policy"]
        );
        assert_eq!(places(&json!({})), [""]);
    }
}
