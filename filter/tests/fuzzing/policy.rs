//! Any policy over a small world, and a request: the decision is the one that trying each rule in turn gives, shadow
//! rules decide about nothing, and what another namespace grants and rules changes nothing.

use identity_filter::base64url;
use identity_filter::decision::Denial;
use identity_filter::gate::Outcome;
use serde_json::{Value, json};

use crate::gateway::{self, ISSUER, NOW};
use crate::world::{self, Ask, Rule, World};

/// Each byte chooses among what there is; where there is none left, it is the first.
pub(crate) fn check(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let world = World::read(&mut bytes);
    let ask = Ask::read(&mut bytes);
    let outcome = decide(&world, &ask);
    let said = Said::of(&outcome);
    assert_eq!(said, expected(&world, &ask), "{world:?} {ask:?}");
    if said.denial.is_some() {
        assert!(told(&outcome).is_empty());
    }
    if let Some(home) = world::route(&ask) {
        let alone = World {
            grants: world
                .grants
                .iter()
                .filter(|grant| grant.namespace == home)
                .cloned()
                .collect(),
            rules: world
                .rules
                .iter()
                .filter(|rule| rule.namespace == home)
                .cloned()
                .collect(),
            ..world
        };
        let of_its_own = decide(&alone, &ask);
        assert_eq!(
            of_its_own.headers, outcome.headers,
            "no other namespace matters"
        );
        assert_eq!(Said::of(&of_its_own), said, "no other namespace matters");
        if !alone.is_shadow {
            let mut enforced = alone;
            enforced.rules.retain(|rule| rule.mode != Some(true));
            let without = decide(&enforced, &ask);
            assert_eq!(
                without.denial, outcome.denial,
                "what is in shadow mode decides about nothing"
            );
            assert_eq!(without.headers, outcome.headers, "and tells nothing");
        }
    }
}

/// What a decision says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    denial: Option<Denial>,
    rule: Option<String>,
    /// Whether the workload learns who calls, and as what.
    roles: Option<Vec<String>>,
    /// Whether every rule together would let it pass, where that is another decision.
    shadow: Option<(bool, Option<String>)>,
}

impl Said {
    fn of(outcome: &Outcome) -> Self {
        let record: Value = serde_json::from_str(&outcome.line()).expect("a record is JSON");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let value = |name: &str| {
            let value = outcome.headers.only(name)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let roles = || value("x-identity-roles").unwrap_or_default();
        let listed = |roles: String| {
            roles
                .split(',')
                .filter(|role| !role.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let shadow = &record["shadow"];
        Self {
            denial: outcome.denial,
            rule: text(&record["rule"]),
            roles: value("x-identity-subject").map(|_| listed(roles())),
            shadow: (!shadow.is_null())
                .then(|| (shadow["decision"] == "allow", text(&shadow["rule"]))),
        }
    }
}

fn told(outcome: &Outcome) -> Vec<&str> {
    let names = outcome.headers.iter().map(|(name, _)| name);
    names
        .filter(|name| name.starts_with("x-identity-"))
        .collect()
}

fn decide(world: &World, ask: &Ask) -> Outcome {
    let token = ask.caller.as_ref().map(|caller| {
        let claims = json!({"iss": ISSUER, "aud": "api", "sub": "s", "exp": NOW + 60,
                            "groups": caller.groups, "roles": caller.roles});
        let parts = [
            br#"{"alg":"EdDSA","kid":"ed"}"#.to_vec(),
            claims.to_string().into(),
            b"s".to_vec(),
        ];
        format!(
            "Bearer {}",
            parts.map(|part| base64url::encode(&part)).join(".")
        )
    });
    let mut headers: Vec<(&str, &[u8])> = vec![
        (":method", ask.method.as_bytes()),
        (":authority", ask.host.as_bytes()),
        (":path", ask.path.as_bytes()),
        ("x-identity-roles", b"admin"),
    ];
    if let Some(token) = &token {
        headers.push(("authorization", token.as_bytes()));
    }
    gateway::decide_under(&world.document(), &headers)
}

/// One rule after the other, as the documentation tells it.
fn expected(world: &World, ask: &Ask) -> Said {
    let Some(home) = world::route(ask) else {
        let denial = Some(Denial::NamespaceUnknown);
        return Said {
            denial,
            ..Said::default()
        };
    };
    let roles = ask.caller.as_ref().map(|caller| world.roles(home, caller));
    let first = |with_shadow: bool, is_deny: bool| {
        world.rules.iter().position(|rule: &Rule| {
            rule.namespace == home
                && rule.is_deny == is_deny
                && (with_shadow || !rule.mode.unwrap_or(world.is_shadow))
                && rule.is_about(ask, roles.as_deref())
        })
    };
    // The rule, and whether it lets the request pass.
    let ruling = |with_shadow| match (first(with_shadow, true), first(with_shadow, false)) {
        (Some(rule), _) => (Some(rule), false),
        (None, rule) => (rule, rule.is_some()),
    };
    let (enforced, all) = (ruling(false), ruling(true));
    let name = |rule: usize| format!("r{}", world.rules[rule].number);
    let (rule, passes) = match enforced {
        (None, _) if world.is_shadow => (all.0.filter(|_| all.1), true),
        enforced => enforced,
    };
    let denial = match (passes, rule) {
        (true, _) => None,
        (false, Some(_)) => Some(Denial::RuleDenied),
        (false, None) if roles.is_none() => Some(Denial::TokenMissing),
        (false, None) => Some(Denial::RuleMissing),
    };
    let is_told = passes && rule.is_some_and(|rule| !world.rules[rule].is_anonymous());
    Said {
        denial,
        rule: rule.map(name),
        roles: roles.filter(|_| is_told),
        shadow: (passes != all.1).then(|| (all.1, all.0.map(name))),
    }
}
