use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::claims::{ClaimPath, Claims};
use crate::condition::Test;

fn roles(names: &[&str]) -> BTreeSet<Role> {
    names
        .iter()
        .map(|name| Role::parse(name).unwrap())
        .collect()
}

fn rule(name: &str, method: &str, path: &str, callers: Callers) -> Rule {
    let is_given = |text: &&str| !text.is_empty();
    let methods = [method].into_iter().filter(is_given);
    let paths = [path].into_iter().filter(is_given);
    Rule {
        name: name.into(),
        is_shadow: false,
        scope: Scope {
            methods: methods.map(Into::into).collect(),
            hosts: vec![],
            paths: paths
                .map(|path| PathPattern::parse(path).unwrap())
                .collect(),
        },
        callers,
    }
}

fn in_shadow(rule: Rule) -> Rule {
    Rule {
        is_shadow: true,
        ..rule
    }
}

fn anybody() -> Callers {
    Callers::default()
}

fn authenticated() -> Callers {
    Callers {
        is_authenticated: true,
        ..Callers::default()
    }
}

fn with_roles(names: &[&str]) -> Callers {
    Callers {
        roles: roles(names),
        ..authenticated()
    }
}

fn policy(deny: Vec<Rule>, allow: Vec<Rule>) -> Policy {
    let needs = Needs::of(deny.iter().chain(&allow));
    Policy {
        deny: Rules::new(deny),
        allow: Rules::new(allow),
        is_shadow: false,
        needs,
    }
}

fn documented() -> Policy {
    policy(
        vec![
            rule("no-internal", "GET", "/internal/**", anybody()),
            rule("no-interns", "GET", "/pay/**", with_roles(&["intern"])),
        ],
        vec![
            rule("health", "GET", "/healthz", anybody()),
            rule(
                "readers",
                "GET",
                "/pay/**",
                with_roles(&["reader", "admin"]),
            ),
            rule("anyone", "GET", "/me", authenticated()),
            rule("internal", "GET", "/internal/**", anybody()),
        ],
    )
}

fn ruling(ruling: Ruling<'_>) -> String {
    match ruling {
        Ruling::Allowed { rule, disclosure } => format!("{} {disclosure:?}", rule.name),
        Ruling::Denied { rule } => format!("{} denied", rule.name),
        Ruling::NoRule => "nothing".into(),
    }
}

fn operation(method: &str, path: &str) -> Operation {
    Operation {
        method: method.into(),
        host: Host::parse(b"a").unwrap(),
        path: CanonicalPath::parse(path.as_bytes()).unwrap(),
    }
}

/// What is done, and what would be where that is something else.
fn check(policy: &Policy, method: &str, path: &str, caller: Option<&[&str]>) -> (String, String) {
    let operation = operation(method, path);
    let roles = caller.map(|names| roles(names).into_iter().collect::<Vec<_>>());
    let verdict = policy.judge(&Request {
        operation: &operation,
        roles: roles.as_deref(),
        facts: Facts::default(),
        source: None,
    });
    (
        verdict.ruling.map_or_else(|| "passes".into(), ruling),
        verdict.shadow.map(ruling).unwrap_or_default(),
    )
}

#[test]
fn deny_rules_come_first_and_nothing_is_denied() {
    let cases: &[(&str, &str, Option<&[&str]>, &str)] = &[
        ("GET", "/healthz", None, "health Anonymous"),
        ("GET", "/healthz", Some(&["reader"]), "health Anonymous"),
        ("POST", "/healthz", None, "nothing"),
        ("get", "/healthz", None, "nothing"),
        ("GET", "/pay/1", None, "nothing"),
        ("GET", "/pay/1", Some(&[]), "nothing"),
        ("GET", "/pay/1", Some(&["reader"]), "readers Identity"),
        (
            "GET",
            "/pay/1",
            Some(&["intern", "admin"]),
            "no-interns denied",
        ),
        ("GET", "/me", None, "nothing"),
        ("GET", "/me", Some(&[]), "anyone Identity"),
        ("GET", "/internal/x", Some(&["admin"]), "no-internal denied"),
        ("GET", "/internal/x", None, "no-internal denied"),
        ("GET", "/other", Some(&["admin"]), "nothing"),
    ];
    for (method, path, caller, want) in cases {
        let (done, would) = check(&documented(), method, path, *caller);
        assert_eq!(
            (done.as_str(), would.as_str()),
            (*want, ""),
            "{method} {path} {caller:?}"
        );
    }
}

#[test]
fn a_host_narrows_a_rule() {
    let mut health = rule("health", "GET", "/healthz", anybody());
    health.scope.hosts = vec![HostPattern::parse("b").unwrap()];
    let policy = policy(vec![], vec![health]);
    assert_eq!(check(&policy, "GET", "/healthz", None).0, "nothing");
    let mut operation = operation("GET", "/healthz");
    operation.host = Host::parse(b"b").unwrap();
    let request = Request {
        operation: &operation,
        roles: None,
        facts: Facts::default(),
        source: None,
    };
    assert_ne!(policy.judge(&request).ruling, Some(Ruling::NoRule));
}

#[test]
fn a_tunnel_passes_only_where_a_rule_names_it() {
    let silent = policy(vec![], vec![rule("all", "", "/**", anybody())]);
    assert_eq!(check(&silent, "CONNECT", "/x", None).0, "nothing");
    assert_eq!(check(&silent, "GET", "/x", None).0, "all Anonymous");
    let named = policy(vec![], vec![rule("t", "CONNECT", "/x", anybody())]);
    assert_eq!(check(&named, "CONNECT", "/x", None).0, "t Anonymous");
    let denied = policy(
        vec![rule("no", "", "/x", anybody())],
        vec![rule("t", "CONNECT", "/x", anybody())],
    );
    assert_eq!(check(&denied, "CONNECT", "/x", None).0, "no denied");
}

#[test]
fn everything_that_a_rule_asks_of_a_caller_must_hold() {
    let spiffe = |text: &str| SpiffePattern::parse(text).unwrap();
    let mfa = Condition::Is {
        fact: Fact::Claim(ClaimPath::parse("mfa").unwrap()),
        test: Test::Equals(true.into()),
    };
    let callers = Callers {
        identities: vec![spiffe("spiffe://t/sa/*")],
        providers: vec!["okta".into()],
        certificates: vec![spiffe("spiffe://c/gate")],
        sources: vec!["10.0.0.0/8".parse().unwrap()],
        when: vec![mfa],
        ..with_roles(&["reader"])
    };
    let policy = policy(vec![], vec![rule("r", "", "", callers)]);
    let claims = Claims::parse(br#"{"mfa":true}"#).unwrap();
    let other = Claims::parse(br#"{"mfa":false}"#).unwrap();
    let reader: Vec<_> = roles(&["reader"]).into_iter().collect();
    let operation = operation("GET", "/");
    let good = Request {
        operation: &operation,
        roles: Some(&reader),
        facts: Facts {
            certificate: Some("spiffe://c/gate"),
            claims: Some(&claims),
            provider: Some("okta"),
            workload: Some("spiffe://t/sa/a"),
            headers: None,
        },
        source: Some("10.1.2.3".parse().unwrap()),
    };
    let with = |change: &dyn Fn(&mut Facts<'_>)| {
        let mut request = good;
        change(&mut request.facts);
        request
    };
    let cases = [
        ("all of it", good, true),
        (
            "no token",
            Request {
                roles: None,
                ..good
            },
            false,
        ),
        (
            "no role",
            Request {
                roles: Some(&[]),
                ..good
            },
            false,
        ),
        (
            "another identity",
            with(&|facts| facts.workload = Some("spiffe://t/sa/a/b")),
            false,
        ),
        ("no identity", with(&|facts| facts.workload = None), false),
        (
            "another provider",
            with(&|facts| facts.provider = Some("aws")),
            false,
        ),
        (
            "another certificate",
            with(&|facts| facts.certificate = Some("spiffe://c/gates")),
            false,
        ),
        (
            "no certificate",
            with(&|facts| facts.certificate = None),
            false,
        ),
        ("no claims", with(&|facts| facts.claims = None), false),
        (
            "another network",
            Request {
                source: Some("192.0.2.1".parse().unwrap()),
                ..good
            },
            false,
        ),
        (
            "no address",
            Request {
                source: None,
                ..good
            },
            false,
        ),
    ];
    for (name, request, want) in cases {
        let ruling = policy.judge(&request).ruling;
        let is_allowed = matches!(ruling, Some(Ruling::Allowed { .. }));
        assert_eq!(is_allowed, want, "{name}");
    }
    let mut request = good;
    request.facts.claims = Some(&other);
    assert_eq!(policy.judge(&request).ruling, Some(Ruling::NoRule));
}

#[test]
fn an_address_that_nobody_knows_may_be_one_that_is_kept_out() {
    let callers = Callers {
        sources: vec!["2001:db8::/32".parse().unwrap()],
        ..Callers::default()
    };
    let policy = policy(
        vec![rule("no", "", "", callers)],
        vec![rule("all", "GET", "", anybody())],
    );
    let operation = operation("GET", "/");
    for (source, want) in [
        (Some("2001:db8::1"), "no denied"),
        (Some("2001:db9::1"), "all Anonymous"),
        (Some("192.0.2.1"), "all Anonymous"),
        (None, "no denied"),
    ] {
        let verdict = policy.judge(&Request {
            operation: &operation,
            roles: None,
            facts: Facts::default(),
            source: source.map(|source| source.parse().unwrap()),
        });
        assert_eq!(
            verdict.ruling.map(ruling),
            Some(want.to_string()),
            "{source:?}"
        );
    }
}

#[test]
fn a_rule_in_shadow_mode_is_recorded_and_decides_nothing() {
    let policy = policy(
        vec![in_shadow(rule("no-b", "", "/b/**", anybody()))],
        vec![
            rule("readers", "", "", with_roles(&["reader"])),
            in_shadow(rule("open", "", "/c", anybody())),
        ],
    );
    let reader: Option<&[&str]> = Some(&["reader"]);
    for (path, caller, want) in [
        ("/a", reader, ("readers Identity", "")),
        ("/b/1", reader, ("readers Identity", "no-b denied")),
        ("/b/1", None, ("nothing", "")),
        ("/c", None, ("nothing", "open Anonymous")),
        ("/c", reader, ("readers Identity", "")),
    ] {
        let (done, would) = check(&policy, "GET", path, caller);
        assert_eq!((done.as_str(), would.as_str()), want, "{path} {caller:?}");
    }
}

#[test]
fn a_policy_in_shadow_mode_lets_pass_and_enforces_what_says_so() {
    let mut policy = policy(
        vec![
            in_shadow(rule("no-b", "", "/b/**", anybody())),
            rule("no-d", "", "/d/**", anybody()),
        ],
        vec![in_shadow(rule("readers", "", "", with_roles(&["reader"])))],
    );
    policy.is_shadow = true;
    let reader: Option<&[&str]> = Some(&["reader"]);
    for (path, caller, want) in [
        ("/a", reader, ("readers Identity", "")),
        ("/a", None, ("passes", "nothing")),
        ("/b/1", reader, ("passes", "no-b denied")),
        ("/d/1", reader, ("no-d denied", "")),
    ] {
        let (done, would) = check(&policy, "GET", path, caller);
        assert_eq!((done.as_str(), would.as_str()), want, "{path} {caller:?}");
    }
}
