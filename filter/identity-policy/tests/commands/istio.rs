//! What Istio itself would decide, from its documentation: the import is held against it.
//!
//! No request may pass what was imported that Istio would stop; and where the import says that all was carried
//! over, no request may be stopped that Istio lets pass. What is different always, as the head of what is imported
//! says, is not asked for: a slash at the end of a path makes no difference here either.

use std::net::IpAddr;

use identity_filter::claims::Claims;
use identity_filter::condition::Facts;
use identity_filter::config::Config;
use identity_filter::headers::Headers;
use identity_filter::host::Host;
use identity_filter::path::CanonicalPath;
use identity_filter::policy::{Operation, Request, Ruling};
use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::program::Folder;

const SOURCES: [&str; 16] = [
    r#"{"requestPrincipals": ["*"]}"#,
    r#"{"requestPrincipals": ["https://id.test/alice"]}"#,
    r#"{"requestPrincipals": ["https://id.test/*"]}"#,
    r#"{"requestPrincipals": ["*/bob"]}"#,
    r#"{"requestPrincipals": ["https://partner.test/b*", "https://id.test/bob"]}"#,
    r#"{"requestPrincipals": ["https://*"]}"#,
    r#"{"notRequestPrincipals": ["*"]}"#,
    r#"{"notRequestPrincipals": ["https://id.test/alice", "*/bob"]}"#,
    r#"{"requestPrincipals": ["*"], "notRequestPrincipals": ["https://partner.test/*"]}"#,
    r#"{"remoteIpBlocks": ["10.0.0.0/8"]}"#,
    r#"{"notRemoteIpBlocks": ["10.1.0.0/16"]}"#,
    r#"{"ipBlocks": ["192.0.2.0/24"]}"#,
    r#"{"notIpBlocks": ["192.0.2.0/24"]}"#,
    r#"{"principals": ["cluster.local/ns/edge/sa/*"]}"#,
    r#"{"notPrincipals": ["cluster.local/ns/edge/sa/front"]}"#,
    r#"{"remoteIpBlocks": ["10.0.0.0/8"], "notRemoteIpBlocks": ["10.1.2.3"]}"#,
];
const OPERATIONS: [&str; 18] = [
    r#"{"methods": ["GET"]}"#,
    r#"{"methods": ["GET", "POST"]}"#,
    r#"{"methods": ["*"]}"#,
    r#"{"methods": ["P*"]}"#,
    r#"{"notMethods": ["POST"]}"#,
    r#"{"hosts": ["api.test"]}"#,
    r#"{"hosts": ["*.test", "else.org"]}"#,
    r#"{"hosts": ["else.org"]}"#,
    r#"{"notHosts": ["api.test"]}"#,
    r#"{"paths": ["/a"]}"#,
    r#"{"paths": ["/a/*"]}"#,
    r#"{"paths": ["/a*"]}"#,
    r#"{"paths": ["*/b"]}"#,
    r#"{"paths": ["/{*}/b", "/x/{**}"]}"#,
    r#"{"paths": ["*b"], "methods": ["GET"]}"#,
    r#"{"notPaths": ["/a/b"]}"#,
    r#"{"ports": ["443"]}"#,
    r#"{"paths": ["*"]}"#,
];
const CONDITIONS: [&str; 18] = [
    r#"{"key": "request.auth.claims[groups]", "values": ["staff"]}"#,
    r#"{"key": "request.auth.claims[groups]", "values": ["st*"]}"#,
    r#"{"key": "request.auth.claims[groups]", "values": ["*"]}"#,
    r#"{"key": "request.auth.claims[groups]", "notValues": ["staff"]}"#,
    r#"{"key": "request.auth.claims[groups]", "notValues": ["st*"]}"#,
    r#"{"key": "request.auth.claims[scope]", "values": ["read"]}"#,
    r#"{"key": "request.auth.claims[scope]", "notValues": ["write"]}"#,
    r#"{"key": "request.auth.claims[nested][team]", "values": ["blue", "*een"]}"#,
    r#"{"key": "request.auth.principal", "values": ["https://id.test/*"]}"#,
    r#"{"key": "request.auth.principal", "notValues": ["*/alice"]}"#,
    r#"{"key": "request.auth.audiences", "values": ["api"]}"#,
    r#"{"key": "request.headers[X-Tenant]", "values": ["a"]}"#,
    r#"{"key": "request.headers[X-Tenant]", "values": ["a*", "*c"]}"#,
    r#"{"key": "request.headers[X-Tenant]", "notValues": ["a"]}"#,
    r#"{"key": "request.headers[X-Tenant]", "values": ["*"]}"#,
    r#"{"key": "remote.ip", "values": ["10.0.0.0/8"]}"#,
    r#"{"key": "source.ip", "notValues": ["10.0.0.0/8"]}"#,
    r#"{"key": "connection.sni", "values": ["api.test"]}"#,
];

/// A request and what is known of its caller.
#[derive(Debug)]
struct Asked {
    method: &'static str,
    path: &'static str,
    token: Option<(&'static str, Value)>,
    tenant: Option<&'static str>,
    address: &'static str,
}

fn requests() -> Vec<Asked> {
    let tokens = [
        None,
        Some((
            "id.test",
            json!({"iss": "https://id.test", "sub": "alice", "aud": ["api", "b"], "groups": ["staff"],
            "scope": "read write", "nested": {"team": "green"}}),
        )),
        Some((
            "id.test",
            json!({"iss": "https://id.test", "sub": "bob", "aud": "other", "groups": "staff", "scope": ["read"]}),
        )),
        Some((
            "partner.test",
            json!({"iss": "https://partner.test", "sub": "bob", "aud": "api", "groups": ["st", "x"]}),
        )),
    ];
    let mut all = Vec::new();
    for token in &tokens {
        for path in ["/", "/a", "/ab", "/a/b", "/x/b", "/x/y"] {
            for (method, tenant, address) in [
                ("GET", None, "10.1.2.3"),
                ("POST", Some("a"), "192.0.2.5"),
                ("PUT", Some("abc"), "10.7.7.7"),
            ] {
                all.push(Asked {
                    method,
                    path,
                    token: token.clone(),
                    tenant,
                    address,
                });
            }
        }
    }
    all
}

/// Where a policy is in force.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Gateway,
    Root,
    Workload,
}

/// A text against a value of Istio's.
fn fits(text: &str, value: &str) -> bool {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        _ if value == "*" => !text.is_empty(),
        (Some(suffix), _) => text.ends_with(suffix),
        (_, Some(prefix)) => text.starts_with(prefix),
        _ => text == value,
    }
}

fn is_path(path: &str, value: &str) -> bool {
    let one = |path: &str| {
        if !value.contains('{') {
            return fits(path, value);
        }
        let mut there = path.split('/').peekable();
        for part in value.split('/') {
            if part == "{**}" {
                return there.peek().is_some();
            }
            match there.next() {
                Some(segment) if part == segment || (part == "{*}" && !segment.is_empty()) => {}
                _ => return false,
            }
        }
        there.next().is_none()
    };
    one(path) || (path != "/" && one(&format!("{path}/")))
}

impl Asked {
    /// The principal, where tokens of this issuer are checked at this place.
    fn claims(&self, at: At) -> Option<&Value> {
        let (name, claims) = self.token.as_ref()?;
        (*name == "id.test" || at == At::Workload).then_some(claims)
    }

    fn principal(&self, at: At) -> Option<String> {
        let claims = self.claims(at)?;
        Some(format!(
            "{}/{}",
            claims["iss"].as_str()?,
            claims["sub"].as_str()?
        ))
    }

    /// What a field or a key is, as texts of which one is enough.
    fn facts(&self, name: &str, at: At) -> Vec<String> {
        let peer = if at == At::Gateway {
            ["front", "edge", self.address, "443", "api.test"]
        } else {
            ["gw", "ingress", "10.9.9.9", "8080", ""]
        };
        let [account, namespace, source, port, sni] = peer;
        let claim = |pointer: &str, splits: bool| -> Vec<String> {
            match self.claims(at).and_then(|claims| claims.pointer(pointer)) {
                Some(Value::String(text)) if splits => text.split(' ').map(String::from).collect(),
                Some(Value::String(text)) => vec![text.clone()],
                Some(Value::Array(list)) => list
                    .iter()
                    .filter_map(Value::as_str)
                    .map(String::from)
                    .collect(),
                _ => Vec::new(),
            }
        };
        match name {
            "requestPrincipals" | "request.auth.principal" => {
                self.principal(at).into_iter().collect()
            }
            "principals" => vec![format!("cluster.local/ns/{namespace}/sa/{account}")],
            "remoteIpBlocks" | "remote.ip" => vec![self.address.into()],
            "ipBlocks" | "source.ip" => vec![source.into()],
            "methods" => vec![self.method.into()],
            "hosts" => vec!["api.test".into()],
            "ports" => vec![port.into()],
            "connection.sni" => vec![sni.into()],
            "request.auth.claims[groups]" => claim("/groups", false),
            "request.auth.claims[scope]" => claim("/scope", true),
            "request.auth.claims[nested][team]" => claim("/nested/team", false),
            "request.auth.audiences" => claim("/aud", false),
            "request.headers[X-Tenant]" => self.tenant.map(String::from).into_iter().collect(),
            other => unreachable!("{other}"),
        }
    }

    fn is_one(&self, name: &str, values: &Value, at: At) -> bool {
        let values: Vec<_> = values
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_str().unwrap())
            .collect();
        if name == "paths" {
            return values.iter().any(|value| is_path(self.path, value));
        }
        let is_network = name.ends_with("IpBlocks") || name == "ipBlocks" || name.ends_with(".ip");
        self.facts(name, at).iter().any(|fact| {
            values.iter().any(|value| {
                if !is_network {
                    return fits(fact, value);
                }
                let address: IpAddr = fact.parse().unwrap();
                value
                    .parse::<IpNet>()
                    .map_or_else(|_| *value == *fact, |network| network.contains(&address))
            })
        })
    }

    fn fields_hold(&self, fields: &Value, at: At) -> bool {
        fields
            .as_object()
            .unwrap()
            .iter()
            .all(|(field, values)| match field.strip_prefix("not") {
                Some(rest) => {
                    let name = rest[..1].to_lowercase() + &rest[1..];
                    !self.is_one(&name, values, at)
                }
                None => self.is_one(field, values, at),
            })
    }

    fn matches(&self, rule: &Value, at: At) -> bool {
        let list = |name: &str| rule[name].as_array().cloned().unwrap_or_default();
        let (from, to) = (list("from"), list("to"));
        (from.is_empty() || from.iter().any(|one| self.fields_hold(&one["source"], at)))
            && (to.is_empty() || to.iter().any(|one| self.fields_hold(&one["operation"], at)))
            && list("when").iter().all(|when| {
                let key = when["key"].as_str().unwrap();
                let has = |field: &str| when.get(field).map(|values| self.is_one(key, values, at));
                has("values").unwrap_or(true) && !has("notValues").unwrap_or(false)
            })
    }

    /// Whether Istio lets it pass. An external authorizer would.
    fn passes(&self, policies: &[(At, Value)]) -> bool {
        [At::Gateway, At::Workload].into_iter().all(|at| {
            let here = || {
                policies
                    .iter()
                    .filter(|(place, _)| *place == at || *place == At::Root)
                    .map(|(_, spec)| spec)
            };
            let matches = |spec: &Value| {
                spec["rules"]
                    .as_array()
                    .is_some_and(|rules| rules.iter().any(|rule| self.matches(rule, at)))
            };
            let of = |action: &'static str| {
                here().filter(move |spec| spec["action"].as_str().unwrap_or("ALLOW") == action)
            };
            !of("DENY").any(matches) && (of("ALLOW").next().is_none() || of("ALLOW").any(matches))
        })
    }

    /// Whether what was imported lets it pass.
    fn passes_here(&self, config: &Config) -> bool {
        let operation = Operation {
            method: self.method.into(),
            host: Host::parse(b"api.test").unwrap(),
            path: CanonicalPath::parse(self.path.as_bytes()).unwrap(),
        };
        let claims = self
            .token
            .as_ref()
            .map(|(_, claims)| Claims::parse(claims.to_string().as_bytes()).unwrap());
        let headers = self
            .tenant
            .map(|tenant| ("x-tenant".into(), tenant.as_bytes().to_vec()));
        let headers = Headers::new(headers.into_iter().collect());
        let Some(namespace) = config.routes.find(&operation.host, &operation.path) else {
            return false;
        };
        let verdict = namespace.policy.judge(&Request {
            operation: &operation,
            roles: claims.as_ref().map(|_| &[][..]),
            facts: Facts {
                claims: claims.as_ref(),
                headers: Some(&headers),
                provider: self.token.as_ref().map(|(name, _)| *name),
                ..Facts::default()
            },
            source: Some(self.address.parse().unwrap()),
        });
        matches!(verdict.ruling, Some(Ruling::Allowed { .. }))
    }
}

fn text(place: At, index: usize, spec: &Value) -> String {
    let namespace = match place {
        At::Gateway => "istio-ingress",
        At::Root => "istio-system",
        At::Workload => "shop",
    };
    format!(
        "---\n{}\n",
        json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": format!("p{index}"), "namespace": namespace}, "spec": spec})
    )
}

const MESH: &str = r#"
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: people, namespace: istio-system}
spec: {jwtRules: [{issuer: "https://id.test", audiences: [a], jwksUri: "https://id.test/k"}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: partners, namespace: shop}
spec: {jwtRules: [{issuer: "https://partner.test", audiences: [a], jwksUri: "https://partner.test/k", fromHeaders: [{name: x-partner}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: shop}
spec: {hosts: [api.test], gateways: [g], http: [{route: [{destination: {host: orders}}]}]}
"#;

fn rule() -> impl Strategy<Value = Value> {
    let parts = |all: &'static [&'static str], most: usize| {
        prop::collection::vec(prop::sample::select(all), 0..=most)
    };
    (
        parts(&SOURCES, 2),
        parts(&OPERATIONS, 2),
        parts(&CONDITIONS, 1),
    )
        .prop_map(|(from, to, when)| {
            let read = |text: &&str| serde_json::from_str::<Value>(text).unwrap();
            let mut rule = json!({});
            if !from.is_empty() {
                rule["from"] = from
                    .iter()
                    .map(|one| json!({"source": read(one)}))
                    .collect::<Vec<_>>()
                    .into();
            }
            if !to.is_empty() {
                rule["to"] = to
                    .iter()
                    .map(|one| json!({"operation": read(one)}))
                    .collect::<Vec<_>>()
                    .into();
            }
            if !when.is_empty() {
                rule["when"] = when.iter().map(read).collect::<Vec<_>>().into();
            }
            rule
        })
}

fn policies() -> impl Strategy<Value = Vec<(At, Value)>> {
    let place = prop_oneof![2 => Just(At::Gateway), 1 => Just(At::Root), 3 => Just(At::Workload)];
    let action = prop_oneof![4 => Just("ALLOW"), 3 => Just("DENY"), 1 => Just("CUSTOM")];
    let policy = (place, action, prop::collection::vec(rule(), 0..3))
        .prop_map(|(place, action, rules)| (place, json!({"action": action, "rules": rules})));
    prop::collection::vec(policy, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_is_imported_is_never_weaker_and_the_same_where_it_says_so(policies in policies()) {
        let texts = policies.iter().enumerate().map(|(index, (place, spec))| text(*place, index, spec));
        let mesh = MESH.to_owned() + &texts.collect::<String>();
        let run = Folder::new().with("mesh.yaml", &mesh).run(&["import", "istio", "--json", "mesh.yaml"]);
        prop_assert!(run.code < 2, "{}", run.errors);
        let all: Value = serde_json::from_str(&run.output).unwrap();
        let config = Config::parse(all["configuration"].to_string().as_bytes()).unwrap();
        for asked in requests() {
            let (there, here) = (asked.passes(&policies), asked.passes_here(&config));
            prop_assert!(there || !here, "let in: {asked:?}\n{all:#}");
            prop_assert!(run.code == 1 || there == here, "kept out: {asked:?}\n{all:#}");
        }
    }
}
