//! `explain --record`.

use serde_json::{Value, json};

use crate::program::{Folder, Run};

const POLICY: &str = "\
providers:
- {name: people, issuer: 'https://id.test', audiences: [api], algorithms: [ES256], jwks: {cluster: c, uri: https://id.test/keys}}
namespaces: [{name: orders, routes: [{host: api.test}]}]
identities: [{name: people, provider: people, workload: 'spiffe://t/people/{claim:sub}'}]
grants:
- {name: readers, namespace: orders, provider: people, roles: [reader], when: [{claim: groups, contains: readers}]}
- {name: alice, namespace: orders, workload: spiffe://t/people/alice, roles: [auditor]}
policy:
  rules:
  - {name: health, namespace: orders, anonymous: true, paths: [/healthz]}
  - {name: read, namespace: orders, roles: [reader], methods: [GET]}
  - {name: ops, namespace: orders, providers: [people], when: [{claim: groups, contains: ops}], paths: [/ops]}
";

fn record(changes: &Value) -> String {
    let mut record = json!({
        "type": "audit", "time": "2026-11-30T12:00:00.123Z", "decision": "deny", "decision_id": "d-1",
        "connection_id": null, "request_id": null, "source": "192.0.2.1:5", "provider": "people",
        "subject": "https://id.test#alice", "workload": "spiffe://t/people/alice", "roles": ["auditor", "reader"],
        "certificate_bound": false, "namespace": "orders", "identity": "people", "grants": ["readers", "alice"],
        "rule": null, "method": "POST", "host": "api.test", "path": "/orders/7", "shadow": null, "status": 403,
        "reason": "rule_missing"
    });
    record
        .as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    record.to_string()
}

fn replay(policy: &str, log: &str, options: &[&str]) -> Run {
    let folder = Folder::new()
        .with("policy.yaml", policy)
        .with("ops.yaml", "{sub: alice, groups: [ops]}\n");
    folder.run_with(
        &[&["explain", "policy.yaml", "--record", "-"], options].concat(),
        log,
    )
}

#[test]
fn a_record_is_explained_as_its_request_would_be() {
    let line = format!(
        "[2026-11-30 12:00:00.123][7][warning][wasm] [a.cc:1] wasm log x: {}\n",
        record(&json!({}))
    );
    let run = replay(POLICY, &format!("noise {{\n{line}"), &[]);
    run.assert(
        1,
        r#"recorded: deny 403 rule_missing (decision d-1, 2026-11-30T12:00:00.123Z)
  this configuration decides the same
now: deny 403 rule_missing: no rule of namespace orders lets this caller in

nearest rules
  read: method POST is none of [GET]
      policy.yaml:11:5

request
  method  POST
  host    api.test
  path    /orders/7

namespace
  this  orders  by its route api.test

caller
  subject   https://id.test#alice, as recorded
  workload  spiffe://t/people/alice, as recorded

grants
  ?    readers  reads claims, and gave roles then; gives [reader]
                policy.yaml:6:3
  yes  alice    is for this caller; gives [auditor]
                policy.yaml:7:3

rules
  no  health  path /orders/7 is none of [/healthz]
              policy.yaml:10:5
  no  read    method POST is none of [GET]
              policy.yaml:11:5
  no  ops     path /orders/7 is none of [/ops]
              needs claim groups contains "ops"; it is not there
              policy.yaml:12:5
"#,
    );
}

#[test]
fn what_has_changed_since_is_told() {
    let stricter = POLICY.replace("roles: [reader], when", "roles: [viewer], when");
    let allowed = record(
        &json!({"decision": "allow", "method": "GET", "rule": "read", "status": null, "reason": null}),
    );
    let run = replay(&stricter, &allowed, &["--json"]);
    assert_eq!(run.code, 1, "{}", run.errors);
    let report: Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(
        report["replay"]["differences"],
        json!([
            {"field": "decision", "recorded": "allow", "now": "deny"},
            {"field": "reason", "recorded": "none", "now": "rule_missing"},
            {"field": "rule", "recorded": "read", "now": "none"},
            {"field": "roles", "recorded": "auditor, reader", "now": "auditor, viewer"},
        ])
    );
    assert_eq!(report["replay"]["recorded"]["rule"], "read");
    assert_eq!(report["near_misses"][0]["rule"], "read");

    let gone = POLICY.replace("name: readers", "name: viewers");
    let run = replay(&gone, &allowed, &[]);
    assert!(
        run.output.contains("not replayed: grant readers, which gave roles then, is not in namespace orders any more"),
        "{}",
        run.output
    );
    let moved = POLICY.replace("{host: api.test}", "{host: other.test}");
    let run = replay(&moved, &allowed, &["--json"]);
    let report: Value = serde_json::from_str(&run.output).unwrap();
    let fields = report["replay"]["differences"].as_array().unwrap().iter();
    let fields: Vec<_> = fields.map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        ["decision", "reason", "rule", "namespace"],
        "nobody asks who is calling"
    );
    let renamed = POLICY.replace("people", "staff");
    let run = replay(&renamed, &allowed, &[]);
    assert!(
        run.output.contains("now: deny 401 issuer_unknown"),
        "{}",
        run.output
    );
}

#[test]
fn what_hangs_on_claims_is_not_guessed() {
    let line = record(&json!({"path": "/ops"}));
    let run = replay(POLICY, &line, &[]);
    assert_eq!(run.code, 1);
    let unknown =
        "not replayed: rule ops asks for claims: whether it is about this caller is not known\n";
    assert!(run.output.contains(unknown), "{}", run.output);
    // With claims nothing is missing, and the core decides about all of it.
    let run = replay(POLICY, &line, &["--claims", "ops.yaml"]);
    assert_eq!(run.code, 0, "{}", run.output);
    assert!(
        run.output
            .contains("now: allow: rule ops of namespace orders lets it in"),
        "{}",
        run.output
    );
    assert!(!run.output.contains("not replayed"), "{}", run.output);
}

#[test]
fn headers_and_certificates_are_not_in_a_record() {
    let policy = POLICY.replace(
        "roles: [reader], methods",
        "certificates: ['spiffe://t/**'], when: [{header: x-tenant, equals: a}], roles: [reader], methods",
    );
    let line = record(&json!({"method": "GET"}));
    let run = replay(&policy, &line, &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.output
            .contains("headers that are not in a record, x-tenant; give them with --header"),
        "{}",
        run.output
    );
    assert!(
        run.output.contains("the client certificate is asked for"),
        "{}",
        run.output
    );
    let run = replay(
        &policy,
        &line,
        &[
            "--header",
            "X-Tenant: a",
            "--certificate",
            "spiffe://t/gate",
        ],
    );
    assert_eq!(run.code, 0, "{}", run.output);
    assert!(!run.output.contains("not replayed"), "{}", run.output);
}

#[test]
fn an_anonymous_record_is_decided_by_the_core() {
    let nobody = json!({"provider": null, "subject": null, "workload": null, "roles": null, "grants": null, "identity": null});
    let mut missing = nobody.clone();
    missing["reason"] = "token_missing".into();
    missing["status"] = 401.into();
    let run = replay(POLICY, &record(&missing), &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.output.contains("this configuration decides the same"),
        "{}",
        run.output
    );
    let opened = POLICY.replace("paths: [/healthz]", "paths: [/**]");
    let run = replay(&opened, &record(&missing), &[]);
    assert_eq!(run.code, 0);
    assert!(
        run.output.contains("decision  was deny, is allow now"),
        "{}",
        run.output
    );
}

#[test]
fn a_refused_token_is_not_in_its_record() {
    let line = record(
        &json!({"provider": null, "subject": null, "workload": null, "roles": null, "grants": null,
        "namespace": "orders", "reason": "token_expired", "status": 401}),
    );
    let run = replay(POLICY, &line, &[]);
    assert_eq!((run.code, run.output.as_str()), (2, ""));
    let want = "identity-policy: decision d-1 was deny 401 token_expired: the token is over. A record does not hold the \
        token: give it with --token, or what it says with --claims\n";
    assert_eq!(run.errors, want);
    assert_eq!(replay(POLICY, &line, &["--claims", "ops.yaml"]).code, 1);
}

#[test]
fn the_record_of_an_access_log_is_completed_by_the_log_or_the_options() {
    let allowed = json!({"decision_id": "d-2", "provider": "people", "subject": "https://id.test#alice",
        "workload": "spiffe://t/people/alice", "roles": ["reader"], "certificate_bound": false, "namespace": "orders",
        "identity": "people", "grants": ["readers"], "rule": "read", "shadow": null});
    let in_json = json!({"method": "GET", "authority": "api.test:443", "path": "/orders/7?x=1", "identity": allowed.to_string()});
    let run = replay(POLICY, &in_json.to_string(), &[]);
    assert_eq!(run.code, 0, "{}{}", run.output, run.errors);
    assert!(
        run.output
            .starts_with("recorded: allow by rule read (decision d-2)\n"),
        "{}",
        run.output
    );
    let in_text = format!("\"GET /orders/7 HTTP/2\" 200 {allowed}");
    let run = replay(POLICY, &in_text, &[]);
    assert_eq!(run.code, 2);
    assert!(
        run.errors
            .contains("the record has no method; give it with --method"),
        "{}",
        run.errors
    );
    let run = replay(
        POLICY,
        &in_text,
        &[
            "--method",
            "GET",
            "--host",
            "api.test",
            "--path",
            "/orders/7",
        ],
    );
    assert_eq!(run.code, 0, "{}", run.errors);
}

#[test]
fn nothing_in_a_record_reaches_the_terminal_as_it_is() {
    let hostile = "\u{1b}[2J\u{202e}";
    let changes = json!({"decision": hostile, "rule": hostile, "subject": hostile, "workload": hostile, "grants": [hostile],
        "roles": [hostile], "path": format!("/{hostile}"), "method": hostile, "host": hostile, "reason": hostile, "time": hostile});
    let mut anonymous = changes.clone();
    anonymous["provider"] = Value::Null;
    for changes in [
        changes,
        anonymous,
        json!({"provider": hostile, "decision_id": hostile, "namespace": hostile}),
    ] {
        let run = replay(POLICY, &record(&changes), &[]);
        let all = run.output + &run.errors;
        assert!(
            !all.is_empty() && !all.contains(['\u{1b}', '\u{202e}']),
            "{all:?}"
        );
    }
}

#[test]
fn one_record_of_several_is_named_by_its_decision() {
    let log = format!(
        "{}\n{}\n",
        record(&json!({})),
        record(&json!({"decision_id": "d-2", "path": "/healthz"}))
    );
    let run = replay(POLICY, &log, &[]);
    assert_eq!(run.code, 2);
    assert!(
        run.errors
            .contains("standard input: 2 audit records; say which with --decision ID"),
        "{}",
        run.errors
    );
    let run = replay(POLICY, &log, &["--decision", "d-2"]);
    assert_eq!(run.code, 0, "{}", run.output);
    for (log, options, want) in [
        (
            log.as_str(),
            ["--decision", "d-3"].as_slice(),
            "no audit record of decision d-3",
        ),
        ("nothing here {}\n", &[], "no audit record: "),
    ] {
        let run = replay(POLICY, log, options);
        assert_eq!(run.code, 2);
        assert!(run.errors.contains(want), "{}", run.errors);
    }
}
