//! `test` and `diff`.

use serde_json::{Value, json};

use crate::program::Folder;

const POLICY: &str = "\
providers:
- {name: people, issuer: 'https://id.test', audiences: [api], algorithms: [ES256], jwks: {cluster: c, uri: https://id.test/keys}}
namespaces: [{name: orders, routes: [{host: api.test}]}]
identities: [{name: people, provider: people, workload: 'spiffe://t/people/{claim:sub}'}]
grants:
- {name: readers, namespace: orders, provider: people, roles: [reader], when: [{claim: groups, contains: readers}]}
policy:
  rules:
  - {name: health, namespace: orders, anonymous: true, paths: [/healthz]}
  - {name: read, namespace: orders, roles: [reader], methods: [GET]}
  - {name: gate, namespace: orders, roles: [reader], certificates: ['spiffe://t/gate'], methods: [PUT], sources: [192.0.2.1]}
";

const CASES: &str = "\
at: 2026-11-30T12:00:00Z
cases:
- name: readers read
  request: {host: api.test, path: /orders}
  caller: &reader {provider: people, claims: {sub: alice, groups: [readers], iat: 1796040000}}
  expect: {decision: allow, rule: read, namespace: orders, roles: [reader], workload: spiffe://t/people/alice}
- name: readers write nothing
  request: {method: POST, host: api.test, path: /orders}
  caller: *reader
  expect: {decision: deny, status: 403, reason: rule_missing, rule: null}
- name: nobody reads
  request: {host: api.test, path: /orders}
  caller: {anonymous: true}
  expect: {decision: deny, status: 401, reason: token_missing, workload: null}
- name: the gate puts
  request: {method: PUT, host: api.test, path: /orders, headers: {X-Any: b}, source: 192.0.2.1}
  caller: {claims: {sub: bob, groups: [readers]}, certificate: spiffe://t/gate}
  expect: {decision: allow, rule: gate, shadow: allow}
";

fn folder() -> Folder {
    Folder::new()
        .with("policy.yaml", POLICY)
        .with("cases.yaml", CASES)
}

#[test]
fn cases_that_hold_pass_and_what_they_leave_out_is_named() {
    let run = folder().run(&["test", "policy.yaml", "cases.yaml"]);
    run.assert(
        0,
        "\
ok    readers read
ok    readers write nothing
ok    nobody reads
ok    the gate puts
not exercised: rules health
4 passed, 0 failed
",
    );
}

#[test]
fn a_case_that_fails_shows_the_difference_and_the_nearest_rule() {
    let cases = CASES.replace(
        "expect: {decision: deny, status: 403, reason: rule_missing, rule: null}",
        "expect: {decision: allow, rule: read, roles: [writer]}",
    );
    let cases = cases.replace(
        "{decision: deny, status: 401, reason: token_missing, workload: null}",
        "{decision: deny, status: 403}",
    );
    let folder = folder().with("cases.yaml", &cases);
    folder.run(&["test", "policy.yaml", "cases.yaml"]).assert(
        1,
        "\
ok    readers read
FAIL  readers write nothing
        cases.yaml:7:3
        decision  expected allow, got deny
        rule      expected read, got none
        roles     expected writer, got reader
        near: read: method POST is none of [GET]
              policy.yaml:10:5
FAIL  nobody reads
        cases.yaml:11:3
        status  expected 403, got 401
        near: read: needs a valid token; needs one of roles [reader]
              policy.yaml:10:5
ok    the gate puts
not exercised: rules health
2 passed, 2 failed
",
    );
    let run = folder.run(&["test", "policy.yaml", "cases.yaml", "--json"]);
    let results: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(
        (run.code, &results["failed"], &results["passed"]),
        (1, &json!(2), &json!(2))
    );
    assert_eq!(
        results["cases"][2]["differences"],
        json!([{"field": "status", "expected": "403", "got": "401"}])
    );
    assert_eq!(
        results["not_exercised"],
        json!({"rules": ["health"], "identities": [], "grants": []})
    );
}

#[test]
fn a_case_whose_token_is_refused_says_for_what() {
    let run = folder()
        .with(
            "cases.yaml",
            &CASES.replacen("{sub: alice, ", "{sub: alice, aud: other, ", 1),
        )
        .run(&["test", "policy.yaml", "cases.yaml"]);
    let line = "        refused for token audience: \"other\": the token is for somebody else; the provider takes [api]\n";
    assert!(run.output.contains(line), "{}", run.output);
}

#[test]
fn every_field_of_an_expectation_counts() {
    for (from, to) in [
        ("decision: allow, rule: read", "decision: deny, rule: read"),
        ("rule: read", "rule: health"),
        ("rule: read", "rule: null"),
        ("namespace: orders", "namespace: payments"),
        ("roles: [reader]", "roles: []"),
        ("roles: [reader]", "roles: [reader, writer]"),
        ("workload: spiffe://t/people/alice", "workload: null"),
        ("status: 403", "status: 401"),
        ("reason: rule_missing", "reason: rule_denied"),
        ("shadow: allow", "shadow: deny"),
        ("at: 2026-11-30T12:00:00Z", "at: 2026-11-30T11:00:00Z"),
        (
            "certificate: spiffe://t/gate",
            "certificate: spiffe://t/other",
        ),
        ("source: 192.0.2.1", "source: 192.0.2.2"),
    ] {
        assert!(CASES.contains(from), "{from}");
        let run = folder()
            .with("cases.yaml", &CASES.replacen(from, to, 1))
            .run(&["test", "policy.yaml", "cases.yaml"]);
        assert_eq!(run.code, 1, "{from} -> {to}: {}{}", run.output, run.errors);
    }
}

#[test]
fn a_file_of_cases_is_read_strictly() {
    for (from, to, want) in [
        (
            "rule: read",
            "rul: read",
            "cases.yaml:6:29: cases[0].expect: unknown field `rul`",
        ),
        (
            "method: POST",
            "methd: POST",
            "cases.yaml:8:13: cases[1].request: unknown field `methd`",
        ),
        (
            "reason: rule_missing",
            "reason: rule_mising",
            "cases[1].expect.reason: unknown variant `rule_mising`",
        ),
        (
            "anonymous: true",
            "anonymous: false",
            "cases.yaml:13:3: cases[2].caller: either `claims`",
        ),
        (
            "{anonymous: true}",
            "{anonymous: true, provider: people}",
            "cases.yaml:13:3: cases[2].caller: either `claims`",
        ),
        ("{sub: alice, ", "{sub: alice, sub: bob, ", "duplicate"),
        (
            "nobody reads",
            "readers read",
            "cases.yaml:11:3: cases[2].name: \"readers read\" is there twice",
        ),
        (
            "source: 192.0.2.1",
            "source: office",
            "cases.yaml:16:78: cases[3].request.source: an address such as",
        ),
        (
            "at: 2026-11-30T12:00:00Z",
            "at: noon",
            "cases.yaml:1:1: at: a time in UTC",
        ),
        (
            "  expect: {decision: allow, rule: gate, shadow: allow}\n",
            "",
            "cases.yaml:15:3: case \"the gate puts\": there is no `expect`",
        ),
        (
            "provider: people",
            "provider: pepole",
            "cases.yaml:3:3: case \"readers read\": there is no provider \"pepole\"; there are: people",
        ),
    ] {
        assert!(CASES.contains(from), "{from}");
        let run = folder()
            .with("cases.yaml", &CASES.replacen(from, to, 1))
            .run(&["test", "policy.yaml", "cases.yaml"]);
        assert_eq!((run.code, run.output.as_str()), (2, ""), "{to}");
        assert!(run.errors.contains(want), "{to}: {}", run.errors);
    }
}

#[test]
fn a_change_is_told_case_by_case() {
    let new = POLICY
        .replace(
            "roles: [reader], methods: [GET]",
            "roles: [writer], methods: [GET, POST]",
        )
        .replace("paths: [/healthz]", "paths: [/orders]")
        .replace("sa/", "people/")
        .replace("roles: [reader], when", "roles: [reader, auditor], when");
    let folder = folder().with("new.yaml", &new);
    folder
        .run(&["diff", "policy.yaml", "policy.yaml", "cases.yaml"])
        .assert(
            0,
            "0 of 4 cases change: 0 allow -> deny, 0 deny -> allow, 0 otherwise\n",
        );
    folder
        .run(&["diff", "policy.yaml", "new.yaml", "cases.yaml"])
        .assert(
            1,
            "\
deny -> allow  readers write nothing
    reason     rule_missing -> none
    rule       none -> health
    roles      reader -> auditor, reader
deny -> allow  nobody reads
    reason     token_missing -> none
    rule       none -> health
otherwise      readers read
    rule       read -> health
    roles      reader -> auditor, reader
otherwise      the gate puts
    rule       gate -> health
    roles      reader -> auditor, reader
4 of 4 cases change: 0 allow -> deny, 2 deny -> allow, 2 otherwise
",
        );
    let run = folder.run(&["diff", "new.yaml", "policy.yaml", "cases.yaml"]);
    assert!(
        run.output.starts_with(
            "\
allow -> deny  readers write nothing
    reason     none -> rule_missing
    rule       health -> none
    roles      auditor, reader -> reader
    near: read: method POST is none of [GET]
          policy.yaml:10:5
allow -> deny  nobody reads
"
        ),
        "{}",
        run.output
    );
    let run = folder.run(&["diff", "policy.yaml", "new.yaml", "cases.yaml", "--json"]);
    let changes: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!((run.code, &changes["cases"]), (1, &json!(4)));
    assert_eq!(changes["changes"][0]["old"], "deny");
    assert_eq!(
        changes["changes"][0]["fields"][0],
        json!({"field": "decision", "old": "deny", "new": "allow"})
    );
}

#[test]
fn a_caller_who_is_refused_by_a_change_is_told_for_what() {
    let new = POLICY.replace("audiences: [api]", "audiences: [other]");
    let run = folder()
        .with("new.yaml", &new)
        .with(
            "cases.yaml",
            &CASES.replace("{sub: alice, ", "{sub: alice, aud: api, "),
        )
        .run(&["diff", "policy.yaml", "new.yaml", "cases.yaml"]);
    let line = "    refused for token audience: \"api\": the token is for somebody else; the provider takes [other]\n";
    assert!(run.output.contains(line), "{}", run.output);
}
