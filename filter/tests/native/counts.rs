//! Which counters a decision makes grow.

use identity_filter::config::Config;
use identity_filter::gate::Outcome;
use identity_filter::stats;
use serde_json::json;

use crate::decisions::{bearing, decide, document, get, token, worker};
use crate::host::HostStandIn;
use crate::request::{Request, Worker};

/// The names without what all of them begin with, and by how much.
fn counted(outcome: &Outcome) -> Vec<(String, u64)> {
    let mut counted = Vec::new();
    stats::count(outcome, &HostStandIn::engines(), |series, by| {
        let name = series.name();
        counted.push((
            name.strip_prefix("identity_filter.").unwrap().to_owned(),
            by,
        ));
    });
    counted
}

fn check(what: &str, worker: &mut Worker, request: Request, config: &Config, want: &[&str]) {
    let counted = counted(&decide(worker, request, config));
    let want: Vec<_> = want.iter().map(|name| ((*name).to_owned(), 1)).collect();
    assert_eq!(counted, want, "{what}");
}

#[test]
fn a_decision_is_counted_by_what_became_of_the_request_and_by_what_it_took() {
    let config = Config::parse(document().to_string().as_bytes()).unwrap();
    let allow = "decision=.=allow;.;provider=.=id;.;decisions_total";
    let read = "decision=.=allow;.;rule=.=read;.;rule_decisions_total";
    let (hit, miss) = (
        "result=.=hit;.;token_cache_lookups_total",
        "result=.=miss;.;token_cache_lookups_total",
    );
    let rs256 = "engine=.=host;.;algorithm=.=RS256;.;signature_checks_total";
    let mut known = worker(&config);
    let good = token(&json!({}));
    check(
        "a new token",
        &mut known,
        bearing(&good),
        &config,
        &[allow, read, miss, rs256],
    );
    check(
        "a known token",
        &mut known,
        bearing(&good),
        &config,
        &[allow, read, hit],
    );
    let mut forged = good.clone();
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    let deny = |reason: &str| format!("decision=.=deny;.;reason=.={reason};.;decisions_total");
    let of = |reason: &str| {
        format!("decision=.=deny;.;reason=.={reason};.;provider=.=id;.;decisions_total")
    };
    let cases: &[(&str, Request, &[&str])] = &[
        (
            "anonymous",
            get("/orders/healthz"),
            &[
                "decision=.=allow;.;decisions_total",
                "decision=.=allow;.;rule=.=health;.;rule_decisions_total",
            ],
        ),
        ("no token", get("/orders/7"), &[&deny("token_missing")]),
        ("no namespace", get("/else"), &[&deny("namespace_unknown")]),
        (
            "no token at all",
            bearing("a.b.c"),
            &[&deny("token_malformed"), miss],
        ),
        (
            "forged",
            bearing(&forged),
            &[&of("signature_invalid"), miss, rs256],
        ),
        (
            "expired",
            bearing(&token(&json!({"exp": 1}))),
            &[&of("token_expired"), miss, rs256],
        ),
        (
            "for somebody else",
            bearing(&token(&json!({"aud": "other"}))),
            &[&of("audience_mismatch"), miss, rs256],
        ),
        (
            "no role",
            bearing(&token(&json!({"roles": []}))),
            &[&of("rule_missing"), miss, rs256],
        ),
        (
            "a deny rule",
            get("/orders/secrets/7").bearer(&good),
            &[
                &of("rule_denied"),
                "decision=.=deny;.;rule=.=no-secrets;.;rule_decisions_total",
                miss,
                rs256,
            ],
        ),
        (
            "what a rule in shadow mode would deny",
            get("/orders/old").bearer(&good),
            &[allow, read, miss, rs256, "would_have_denied"],
        ),
        (
            "what a rule in shadow mode would allow",
            get("/orders/new").bearer(&token(&json!({"roles": []}))),
            &[&of("rule_missing"), miss, rs256, "would_have_allowed"],
        ),
    ];
    for (what, request, want) in cases {
        check(what, &mut worker(&config), request.clone(), &config, want);
    }
}

#[test]
fn tokens_that_make_room_are_counted_and_without_a_memory_nothing_is_looked_for() {
    let mut document = document();
    document["limits"]["cached_tokens"] = json!(1);
    let config = Config::parse(document.to_string().as_bytes()).unwrap();
    let mut worker = worker(&config);
    let evictions = |worker: &mut Worker, subject: &str| {
        let outcome = decide(worker, bearing(&token(&json!({"sub": subject}))), &config);
        let counted = counted(&outcome);
        let mut evictions = counted
            .iter()
            .filter(|(name, _)| name == "token_cache_evictions_total");
        evictions.next().map(|(_, by)| *by)
    };
    assert_eq!(evictions(&mut worker, "a"), None);
    assert_eq!(evictions(&mut worker, "b"), Some(1));
    document["limits"]["cached_tokens"] = json!(0);
    let config = Config::parse(document.to_string().as_bytes()).unwrap();
    let outcome = decide(
        &mut self::worker(&config),
        bearing(&token(&json!({}))),
        &config,
    );
    assert!(
        !counted(&outcome)
            .iter()
            .any(|(name, _)| name.contains("token_cache")),
        "{:?}",
        counted(&outcome)
    );
}

#[test]
fn the_gateways_own_filters_see_the_values_that_are_asked_for_and_of_a_stranger_none() {
    let mut document = document();
    let values = [
        "decision",
        "namespace",
        "provider",
        "roles",
        "rule",
        "subject",
        "workload",
    ];
    document["filter_state"] = json!({"values": values});
    let state = |request: Request| {
        let config = Config::parse(document.to_string().as_bytes()).unwrap();
        let state = decide(&mut worker(&config), request, &config).state;
        state
            .into_iter()
            .map(|(value, text)| format!("{}={text}", value.key()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        state(bearing(&token(&json!({})))),
        [
            "sallyport.decision=allow",
            "sallyport.namespace=orders",
            "sallyport.provider=id",
            "sallyport.roles=reader",
            "sallyport.rule=read",
            "sallyport.subject=https://id.test#alice",
            "sallyport.workload=spiffe://cluster.local/ns/people/sa/alice"
        ]
    );
    let healthz = || get("/orders/healthz");
    for request in [healthz(), healthz().bearer(&token(&json!({})))] {
        assert_eq!(
            state(request),
            [
                "sallyport.decision=allow",
                "sallyport.namespace=orders",
                "sallyport.rule=health"
            ]
        );
    }
    assert_eq!(
        state(bearing(&token(&json!({"exp": 1})))),
        ["sallyport.decision=deny", "sallyport.namespace=orders"],
        "what a refused token says is nobody's fact"
    );
    let config = Config::parse(self::document().to_string().as_bytes()).unwrap();
    assert!(
        decide(&mut worker(&config), get("/orders/healthz"), &config)
            .state
            .is_empty()
    );
}
