//! What a request costs as the configuration grows: more rules, and more mappings of claims to identities and roles.

use e2e::{
    error::HarnessError, issuer::Issuer, plain_gateway::identity_filter, run_folder::RunFolder,
    tools,
};
use serde_json::{Map, Value, json};

use super::{Plan, Subject, Target, rounded, start, token, warm_and_measure};
use crate::figures::{Series, print, progress};

/// The figures of a run, by subject.
pub(super) struct Figures {
    names: Vec<&'static str>,
    series: Vec<Series>,
}

/// What is asked for in every configuration here.
const TARGET: Target = Target {
    host: "api.example.com",
    path: "/service-0/orders/1",
};
const ROLE: &str = "reader";
const GROUP: &str = "payments-admins";
/// Rules of one service.
const SERVICE_RULES: usize = 10;
/// Namespaces, where there are services enough.
const NAMESPACES: usize = 10;

const PLAIN: usize = 0;
/// Each ratio: its name in the object, what is compared and with what.
const RATIOS: [(&str, usize, usize); 4] = [
    ("rules_1000_vs_10", 3, 1),
    ("rules_1000_alike_vs_10", 4, 1),
    ("mappings_100_vs_1", 7, 5),
    ("cold_mappings_100_vs_1", 10, 8),
];

/// All subjects take turns in each round, as those beside Envoy's own filters do.
pub(super) async fn measure(
    plan: &Plan,
    issuer: &Issuer,
    keys: &Value,
    folder: &RunFolder,
) -> Result<Figures, HarnessError> {
    let module = tools::filter()?;
    let rules = |rules: Rules| configuration(issuer, keys, rules, mappings(1));
    let mapped = |count: usize, tokens: u32| {
        let mut configuration = configuration(issuer, keys, services(10), mappings(count));
        configuration["limits"]["cached_tokens"] = json!(tokens);
        configuration
    };
    let configurations = [
        ("plain route", None),
        ("10 rules", Some(rules(services(10)))),
        ("100 rules", Some(rules(services(100)))),
        ("1000 rules", Some(rules(services(1000)))),
        (
            "1000 rules, all about the request",
            Some(rules(alike(1000))),
        ),
        ("1 identity and grant", Some(mapped(1, 1000))),
        ("10 identities and grants", Some(mapped(10, 1000))),
        ("100 identities and grants", Some(mapped(100, 1000))),
        ("1 identity and grant, cold", Some(mapped(1, 0))),
        ("10 identities and grants, cold", Some(mapped(10, 0))),
        ("100 identities and grants, cold", Some(mapped(100, 0))),
    ];
    let mut subjects: Vec<Subject> = Vec::new();
    for (number, (name, configuration)) in configurations.into_iter().enumerate() {
        let filters = configuration
            .iter()
            .map(|one| identity_filter(&module, one));
        let number = number + FIRST_NUMBER;
        subjects.push(start(number, name, 1, filters.collect(), folder).await?);
    }
    let token = token(issuer, issuer.rsa())?;
    let mut figures = Figures {
        names: subjects.iter().map(|subject| subject.name).collect(),
        series: vec![Series::default(); subjects.len()],
    };
    for round in 1..=plan.rounds {
        for (subject, series) in subjects.iter().zip(&mut figures.series) {
            progress(&format!(
                "round {round} of {}: {}",
                plan.rounds, subject.name
            ));
            series.push(warm_and_measure(subject, TARGET, &token, plan.requests).await?);
        }
    }
    Ok(figures)
}

/// Namespaces with their routes, and rules.
struct Rules {
    namespaces: Vec<Value>,
    rules: Vec<Value>,
}

/// So many rules as a platform comes to have them: ten for each service, a service in one of ten namespaces, every
/// second one under a host of its own and the others on the shared host, where the request goes.
fn services(count: usize) -> Rules {
    let services = count / SERVICE_RULES;
    let namespaces = (0..services.min(NAMESPACES)).map(|namespace| {
        let own = (namespace..services).step_by(NAMESPACES);
        let routes: Vec<Value> = own
            .map(|service| json!({ "host": host_of(service), "path_prefix": format!("/service-{service}") }))
            .collect();
        json!({ "name": format!("team-{namespace}"), "routes": routes })
    });
    Rules {
        namespaces: namespaces.collect(),
        rules: (0..services).flat_map(rules_of).collect(),
    }
}

/// Neighbours in one namespace share a host or not, in turns.
fn host_of(service: usize) -> String {
    if (service / NAMESPACES).is_multiple_of(2) {
        TARGET.host.to_owned()
    } else {
        format!("service-{service}.example.com")
    }
}

fn rules_of(service: usize) -> Vec<Value> {
    let at = format!("/service-{service}");
    let of = |name: &str, methods: &[&str], path: &str, who: Value| {
        let mut rule = json!({
            "name": format!("{name}-{service}"),
            "namespace": format!("team-{}", service % NAMESPACES),
            "methods": methods,
            "paths": [format!("{at}{path}")],
        });
        if let (Some(rule), Value::Object(who)) = (rule.as_object_mut(), who) {
            rule.extend(who);
        }
        rule
    };
    let role = |name: &str| json!({ "roles": [name] });
    vec![
        of(
            "no-internals",
            &["GET", "POST"],
            "/internal/**",
            json!({ "action": "deny" }),
        ),
        of(
            "no-purge",
            &["DELETE"],
            "/orders",
            json!({ "action": "deny", "roles": ["trainee"] }),
        ),
        of("health", &["GET"], "/healthz", json!({ "anonymous": true })),
        of("list", &["GET"], "/orders", role(ROLE)),
        of("create", &["POST"], "/orders", role("writer")),
        of("change", &["PUT", "PATCH"], "/orders/{id}", role("writer")),
        of("lines", &["GET"], "/orders/{id}/lines/{line}", role(ROLE)),
        of("remove", &["DELETE"], "/orders/{id}", role("admin")),
        of("admin", &["GET", "POST"], "/admin/**", role("admin")),
        of("read", &["GET"], "/orders/{id}", role(ROLE)),
    ]
}

/// The worst case: each rule is about this very request, and only the last one about its caller.
fn alike(count: usize) -> Rules {
    let rule = |number: usize| {
        let role = if number + 1 == count {
            ROLE.to_owned()
        } else {
            format!("role-{number}")
        };
        json!({ "name": format!("rule-{number}"), "namespace": "team-0", "methods": ["GET"],
                "paths": ["/service-0/orders/{id}"], "roles": [role] })
    };
    Rules {
        namespaces: services(SERVICE_RULES).namespaces,
        rules: (0..count).map(rule).collect(),
    }
}

/// So many entries for other groups, each with an identity and a role; those that match stand last.
fn mappings(count: usize) -> [Vec<Value>; 2] {
    let group = |number: usize| {
        if number + 1 == count {
            GROUP.to_owned()
        } else {
            format!("team-{number}-members")
        }
    };
    let entries = (0..count).map(|number| {
        let when = json!([{ "claim": "groups", "contains": group(number) }]);
        let workload = format!("spiffe://cluster.local/ns/team-{number}/sa/{{claim:sub}}");
        let name = format!("team-{number}");
        (
            json!({ "name": name, "provider": "people", "when": when, "workload": workload }),
            json!({ "name": name, "namespace": "team-0", "provider": "people", "when": when, "roles": [ROLE] }),
        )
    });
    let (identities, grants) = entries.unzip();
    [identities, grants]
}

fn configuration(
    issuer: &Issuer,
    keys: &Value,
    rules: Rules,
    [identities, grants]: [Vec<Value>; 2],
) -> Value {
    let mut configuration = super::filter_configuration(issuer, keys, 1000);
    configuration["namespaces"] = json!(rules.namespaces);
    configuration["identities"] = json!(identities);
    configuration["grants"] = json!(grants);
    configuration["policy"] = json!({ "rules": rules.rules });
    configuration
}

impl Figures {
    fn ratio(&self, subject: usize, peer: usize) -> Series {
        let above = |number: usize| self.series[number].above(&self.series[PLAIN]);
        above(subject).against(&above(peer))
    }

    /// Adds the ratios to those of the object.
    pub(super) fn add_ratios(&self, ratios: &mut Map<String, Value>) {
        for (name, subject, peer) in RATIOS {
            let ratio = self.ratio(subject, peer).median();
            ratios.insert(name.to_owned(), json!(rounded(ratio)));
        }
    }

    pub(super) fn print(&self, rounds: u32) {
        let head = [
            "",
            "CPU µs per request",
            "above the plain route",
            "beside the smallest",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for (number, name) in self.names.iter().enumerate() {
            let peer = match number {
                2..=4 => Some(1),
                6 | 7 => Some(5),
                9 | 10 => Some(8),
                _ => None,
            };
            let ratio = peer.map(|peer| self.ratio(number, peer).shown());
            rows.push(vec![
                (*name).to_owned(),
                self.series[number].shown(),
                self.series[number].above(&self.series[PLAIN]).shown(),
                ratio.unwrap_or_default(),
            ]);
        }
        let title = "growing configurations, RS256, warm where nothing else is said";
        print(
            &format!("{title}: medians of {rounds} rounds (smallest to largest)"),
            &rows,
        );
    }
}

/// After those of the subjects beside Envoy's own filters.
const FIRST_NUMBER: usize = 20;
