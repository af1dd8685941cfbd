//! Vectors of whole tokens: Wycheproof, and the examples of RFC 7515, 7520, 7797 and 8037. Their
//! payloads are no claims, so they are about the token's form, the key policy and the signature.
//!
//! They hold test private keys and are not part of the repository: they are read from `$TEST_VECTORS`, or
//! from `shared/vectors` beside the checkout. Where neither is there, whoever asks is told so by name.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::{
    case::{Case, Group, Signed, Want},
    exceptions,
};

/// Every case with a token, in `what` is said who would have run them.
///
/// # Errors
/// When a file is missing or is not what its name says. `None`: there is no folder of vectors.
pub fn groups(what: &str) -> io::Result<Option<Vec<Group>>> {
    let Some(folder) = folder(what)? else {
        return Ok(None);
    };
    let mut groups = Vec::new();
    for name in WYCHEPROOF {
        wycheproof(&folder, name, &mut groups)?;
    }
    rfc_7515(&folder, &mut groups)?;
    for name in ["jws", "curve25519", "rfc7797"] {
        for (file, example) in read_all(&folder, &format!("jose-cookbook/{name}"))? {
            groups.push(cookbook(file, &example));
        }
    }
    Ok(Some(groups))
}

/// Every JWK that stands in a file of its own, by the file's name and as it is: private parts too.
///
/// # Errors
/// As [`groups`].
pub fn keys(what: &str) -> io::Result<Option<Vec<(String, Value)>>> {
    folder(what)?
        .map(|folder| read_all(&folder, "jose-cookbook/jwk"))
        .transpose()
}

/// Says that there is none past the test runner, which keeps what a passing test prints.
#[expect(
    clippy::disallowed_methods,
    reason = "tells the tests where the vectors are"
)]
fn folder(what: &str) -> io::Result<Option<PathBuf>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder =
        std::env::var("TEST_VECTORS").map_or_else(|_unset| PathBuf::from(beside), PathBuf::from);
    if folder.is_dir() {
        return Ok(Some(folder));
    }
    let missing = folder.display();
    let message = format!("LEFT OUT: {what}: no folder {missing}; set TEST_VECTORS\n");
    io::stderr().write_all(message.as_bytes())?;
    Ok(None)
}

fn read(folder: &Path, name: &str) -> io::Result<Value> {
    let path = folder.join(name);
    let named = |error: &dyn std::fmt::Display| {
        io::Error::other(format!("cannot read {}: {error}", path.display()))
    };
    let text = fs::read(&path).map_err(|error| named(&error))?;
    serde_json::from_slice(&text).map_err(|error| named(&error))
}

/// Every JSON file in a folder, in the order of their names.
fn read_all(folder: &Path, name: &str) -> io::Result<Vec<(String, Value)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join(name))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if file.ends_with(".json") {
            names.push(format!("{name}/{file}"));
        }
    }
    names.sort();
    names
        .into_iter()
        .map(|name| read(folder, &name).map(|value| (name, value)))
        .collect()
}

fn wycheproof(folder: &Path, file: &str, groups: &mut Vec<Group>) -> io::Result<()> {
    let vectors = read(folder, file)?;
    for (number, group) in elements(&vectors["testGroups"]).enumerate() {
        let cases = elements(&group["tests"]).map(|test| {
            let id = test["tcId"].as_u64().unwrap_or_default();
            let token = text(if test["jws"].is_null() {
                &test["jwe"]
            } else {
                &test["jws"]
            });
            let want = exceptions::of(file, id)
                .unwrap_or_else(|| accepted_if(test["result"] == "valid" && is_ours(&token)));
            Case {
                name: format!("{id}: {}", text(&test["comment"])),
                signed: Signed::Token(token),
                want,
            }
        });
        let keys = group.get("public").unwrap_or_else(|| &group["private"]);
        groups.push(Group {
            name: format!("{file}, group {number}"),
            keys: published(keys),
            cases: cases.collect(),
        });
    }
    Ok(())
}

fn rfc_7515(folder: &Path, groups: &mut Vec<Group>) -> io::Result<()> {
    let file = "rfc7515/rfc7515.json";
    let examples = read(folder, file)?;
    for example in elements(&examples["cases"]) {
        let token = example.get("jws").unwrap_or_else(|| &example["jws_json"]);
        let is_compact = token.is_string() && example["result"] == "valid";
        let token = text(token);
        let want = accepted_if(is_compact && is_ours(&token));
        groups.push(Group {
            name: file.to_owned(),
            keys: published(&example["jwk"]),
            cases: vec![Case {
                name: text(&example["section"]),
                signed: Signed::Token(token),
                want,
            }],
        });
    }
    Ok(())
}

/// The compact form of an example; its other serialisations are no tokens, whatever they are signed with.
fn cookbook(file: String, example: &Value) -> Group {
    let outputs = example["output"].as_object().into_iter().flatten();
    let cases = outputs.map(|(form, token)| {
        let token = text(token);
        let want = accepted_if(form == "compact" && is_ours(&token));
        Case {
            name: form.clone(),
            signed: Signed::Token(token),
            want,
        }
    });
    Group {
        cases: cases.collect(),
        keys: published(&example["input"]["key"]),
        name: file,
    }
}

const fn accepted_if(is_good: bool) -> Want {
    if is_good { Want::Accept } else { Want::Refuse }
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text as it is; another value as it would be sent.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether a token says to be signed by an algorithm that the filter has.
fn is_ours(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    header["alg"]
        .as_str()
        .is_some_and(|name| OURS.contains(&name))
}

/// A key, or a set or list of them, as the set that a provider would publish: without private parts. A
/// shared secret stays what it is.
fn published(keys: &Value) -> Value {
    let keys: Vec<Value> = match (keys.get("keys"), keys) {
        (Some(Value::Array(keys)), _) | (None, Value::Array(keys)) => {
            keys.iter().map(public).collect()
        }
        _ => vec![public(keys)],
    };
    json!({ "keys": keys })
}

fn public(key: &Value) -> Value {
    let members = key.as_object().into_iter().flatten();
    let public = members.filter(|(name, _)| !PRIVATE.contains(&name.as_str()));
    Value::Object(
        public
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>(),
    )
}

const WYCHEPROOF: [&str; 4] = [
    "wycheproof/json_web_signature_test.json",
    "wycheproof/json_web_key_test.json",
    "wycheproof/json_web_crypto_test.json",
    "wycheproof/json_web_encryption_test.json",
];
/// What docs/filter.md says that a provider may list.
const OURS: [&str; 11] = [
    "ES256", "ES384", "ES512", "Ed25519", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384",
    "RS512",
];
/// RFC 7518 section 6.2.2 and 6.3.2.
const PRIVATE: [&str; 7] = ["d", "dp", "dq", "oth", "p", "q", "qi"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exceptions::EXCEPTIONS;

    #[test]
    fn each_exception_is_one() {
        let Some(folder) = folder("the exceptions").unwrap() else {
            return;
        };
        for exception in EXCEPTIONS {
            let vectors = read(&folder, exception.file).unwrap();
            let tests: Vec<_> = elements(&vectors["testGroups"])
                .flat_map(|group| elements(&group["tests"]))
                .collect();
            for id in exception.cases {
                let named = tests.iter().find(|test| test["tcId"] == *id);
                let is_valid = named.unwrap()["result"] == "valid";
                let reason = exception.reason;
                assert_eq!(is_valid, exception.want == Want::Refuse, "{id}: {reason}");
            }
        }
    }

    #[test]
    fn every_file_has_something_to_say() {
        let Some(groups) = groups("vectors of tokens").unwrap() else {
            return;
        };
        let count = |want| {
            let cases = groups.iter().flat_map(|group| &group.cases);
            cases.filter(|case| case.want == want).count()
        };
        assert!(groups.iter().all(|group| !group.cases.is_empty()));
        let counts = (count(Want::Accept), count(Want::Refuse));
        eprintln!("{counts:?} of {} groups", groups.len());
        assert!(counts.0 > 40 && counts.1 > 500, "{counts:?}");
        assert_eq!(keys("keys").unwrap().unwrap().len(), 6);
    }
}
