//! `explain`.

use serde_json::{Value, json};
use signatures::signer::Signer;

use crate::program::{Folder, Run};

const POLICY: &str = "\
providers:
- name: people
  issuer: https://id.test
  audiences: [api]
  algorithms: [ES256]
  jwks: {cluster: c, uri: https://id.test/keys}
namespaces:
- {name: orders, routes: [{host: api.test, path_prefix: /orders}]}
- {name: rest, routes: [{host: '*.test'}, {host: api.test}]}
identities:
- {name: robots, provider: people, when: [{claim: robot, equals: true}], workload: 'spiffe://t/robots/{claim:sub}'}
- {name: people, provider: people, workload: 'spiffe://t/people/{claim:sub}'}
- {name: others, provider: people, workload: 'spiffe://t/others'}
grants:
- {name: readers, namespace: orders, provider: people, roles: [reader], when: [{claim: groups, contains: readers}]}
- {name: writers, namespace: orders, provider: people, roles: [writer], when: [{claim: groups, contains: writers}]}
policy:
  rules:
  - {name: no-secrets, namespace: orders, action: deny, paths: [/orders/secrets/**]}
  - {name: health, namespace: orders, anonymous: true, methods: [GET], paths: [/orders/healthz]}
  - {name: write, namespace: orders, roles: [writer], methods: [POST], paths: ['/orders/{id}']}
  - {name: read, namespace: orders, roles: [reader], methods: [GET]}
  - {name: office, namespace: orders, roles: [reader], sources: [192.0.2.0/24], paths: ['/orders/{id}']}
";

fn folder() -> Folder {
    Folder::new()
        .with("policy.yaml", POLICY)
        .with("reader.yaml", "{sub: alice, groups: [readers]}\n")
}

/// Runs `explain` about a request to a path below /orders, with more options.
fn explain(folder: &Folder, method: &str, path: &str, options: &[&str]) -> Run {
    let all = [
        &[
            "explain",
            "policy.yaml",
            "--method",
            method,
            "--host",
            "api.test",
            "--path",
            path,
            "--at",
            "1800000000",
        ],
        options,
    ];
    folder.run(&all.concat())
}

fn json_of(run: &Run) -> Value {
    serde_json::from_str(&run.output).unwrap()
}

#[test]
fn every_step_and_the_nearest_rules_are_told() {
    let run = explain(&folder(), "POST", "/orders/7", &["--claims", "reader.yaml"]);
    run.assert(
        1,
        r#"deny 403 rule_missing: no rule of namespace orders lets this caller in
note: claims were given, not a token: they are taken as if their provider had signed them

nearest rules
  write: needs one of roles [writer]; caller has [reader]
      policy.yaml:21:5
  office: needs an address in [192.0.2.0/24]; the client's address is not known
      policy.yaml:23:5
  read: method POST is none of [GET]
      policy.yaml:22:5

request
  method  POST
  host    api.test
  path    /orders/7

namespace
  this  orders  by its route api.test/orders
  no    rest    its route api.test fits too, and is less specific

credential
  yes  token  in header authorization, scheme Bearer

token
  yes  issuer     https://id.test, of provider people
  yes  algorithm  ES256
  yes  type       none
  ?    key        not looked for
  ?    signature  none: claims were given
  yes  audience   "api"
  yes  times      exp 2027-01-15T08:05:00Z; now 2027-01-15T08:00:00.000Z
  yes  subject    "alice"

identity
  no    robots  needs claim robot equals true; it is not there
                policy.yaml:11:3
  this  people  spiffe://t/people/alice
                policy.yaml:12:3
  -     others  an earlier entry matched
                policy.yaml:13:3

grants
  yes  readers  gives [reader]
                policy.yaml:15:3
  no   writers  needs claim groups contains "writers"; it is ["readers"]
                policy.yaml:16:3

rules
  no  deny no-secrets  path /orders/7 is none of [/orders/secrets/**]
                       policy.yaml:19:5
  no  health           path /orders/7 is none of [/orders/healthz]
                       method POST is none of [GET]
                       policy.yaml:20:5
  no  write            needs one of roles [writer]; caller has [reader]
                       policy.yaml:21:5
  no  read             method POST is none of [GET]
                       policy.yaml:22:5
  no  office           needs an address in [192.0.2.0/24]; the client's address is not known
                       policy.yaml:23:5
"#,
    );
}

#[test]
fn the_decision_is_the_exit_code() {
    let folder = folder();
    let reader = &["--claims", "reader.yaml"];
    for (method, path, options, code, rule) in [
        ("GET", "/orders/7", reader.as_slice(), 0, Some("read")),
        ("GET", "/orders/secrets/a", reader, 1, Some("no-secrets")),
        ("GET", "/orders/healthz", &[], 0, Some("health")),
        ("GET", "/orders/7", &[], 1, None),
        (
            "POST",
            "/orders/7",
            &[reader.as_slice(), &["--source", "192.0.2.7"]].concat(),
            0,
            Some("office"),
        ),
        (
            "POST",
            "/orders/7",
            &[reader.as_slice(), &["--source", "::ffff:192.0.2.7"]].concat(),
            0,
            Some("office"),
        ),
        (
            "POST",
            "/orders/7",
            &[reader.as_slice(), &["--source", "198.51.100.7"]].concat(),
            1,
            None,
        ),
    ] {
        let run = explain(&folder, method, path, &[options, &["--json"]].concat());
        assert_eq!(
            run.code, code,
            "{method} {path}: {}{}",
            run.output, run.errors
        );
        let report = json_of(&run);
        assert_eq!(report["rule"], json!(rule), "{method} {path}");
        assert_eq!(report["decision"], if code == 0 { "allow" } else { "deny" });
        assert_eq!(report["rule_place"].is_string(), rule.is_some());
    }
}

#[test]
fn a_signature_is_checked_with_keys_and_never_said_to_be_without() {
    let (signer, other) = (Signer::es256("k"), Signer::es256("k"));
    let claims = json!({"iss": "https://id.test", "aud": "api", "sub": "alice", "exp": 1_800_000_060, "groups": ["readers"]});
    let keys = |signer: &Signer| json!({"keys": [signer.jwk()]}).to_string();
    let folder = folder()
        .with("token", &format!("{}\n", signer.token(&claims)))
        .with("keys.json", &keys(&signer))
        .with("other.json", &keys(&other));
    let ask = |options: &[&str]| {
        explain(
            &folder,
            "GET",
            "/orders/7",
            &[&["--token", "@token", "--json"], options].concat(),
        )
    };
    let run = ask(&["--keys", "keys.json"]);
    assert_eq!(
        (run.code, &json_of(&run)["signature"]),
        (0, &json!("checked"))
    );
    assert_eq!(json_of(&run)["notes"], json!([]));
    let run = ask(&["--keys", "other.json"]);
    assert_eq!(
        (run.code, &json_of(&run)["reason"]),
        (1, &json!("signature_invalid"))
    );
    let run = ask(&[]);
    let report = json_of(&run);
    assert_eq!(
        (run.code, &report["signature"]),
        (0, &json!("keys_not_here"))
    );
    assert!(
        report["notes"][0]
            .as_str()
            .unwrap()
            .starts_with("the signature was NOT checked")
    );
    let wrong = Signer::es256("k")
        .token(&json!({"iss": "https://other.test", "aud": "api", "sub": "a", "exp": 1}));
    let run = explain(&folder, "GET", "/orders/7", &["--token", &wrong, "--json"]);
    assert_eq!(json_of(&run)["signature"], "not_reached");
    // The same with a header in the place of the option.
    let header = format!("Authorization: Bearer {}", signer.token(&claims));
    let run = explain(
        &folder,
        "GET",
        "/orders/7",
        &["--header", &header, "--keys", "other.json", "--json"],
    );
    assert_eq!(json_of(&run)["reason"], "signature_invalid");
}

#[test]
fn no_token_is_ever_printed() {
    let signer = Signer::es256("k");
    let token = signer.token(&json!({"iss": "https://id.test", "aud": "api", "sub": "alice", "exp": 1, "secret": "hush"}));
    let folder = folder().with("token", &token);
    let parts: Vec<_> = token.split('.').collect();
    let header = format!("x {token}");
    for options in [
        vec!["--token", token.as_str()],
        vec!["--token", "@token", "--json"],
        vec!["--token", "@token", "--source", token.as_str()],
        vec!["--header", header.as_str()],
        vec!["--token", token.as_str(), "--claims", "reader.yaml"],
    ] {
        let run = explain(&folder, "GET", "/orders/7", &options);
        assert_ne!(run.code, 0, "{options:?}");
        let all = run.output + &run.errors;
        for part in parts[1..].iter().chain(&["hush"]) {
            assert!(!all.contains(part), "{options:?}: {all}");
        }
    }
    let run = folder.run_with(
        &[
            "explain",
            "policy.yaml",
            "--host",
            "api.test",
            "--path",
            "/orders/7",
            "--token",
            "-",
        ],
        &token,
    );
    assert!(
        run.output.contains("exp 1970-01-01T00:00:01Z"),
        "{}{}",
        run.output,
        run.errors
    );
    assert!(!run.output.contains(parts[2]));
}

#[test]
fn each_check_of_a_token_is_told() {
    let folder = folder();
    for (claims, reason, line) in [
        (
            "{sub: a, aud: b}",
            "audience_mismatch",
            r#"no   audience   "b": the token is for somebody else; the provider takes [api]"#,
        ),
        (
            "{sub: a, exp: 1799999940}",
            "token_expired",
            "no   times      exp 2027-01-15T07:59:00Z; now 2027-01-15T08:00:00.000Z: the token is over (leeway 60 s)",
        ),
        (
            "{sub: a, iss: b}",
            "issuer_unknown",
            "no  issuer  b: no provider has the token's issuer",
        ),
        (
            "{sub: ''}",
            "token_malformed",
            r#"no   subject    "": the token, or a claim that it must have, is not of the right form"#,
        ),
        (
            "{sub: a, cnf: {jkt: b}}",
            "confirmation_unsupported",
            "no   bound to   an object: the token is bound to something that the filter does not check",
        ),
    ] {
        let folder = &folder;
        let run = folder.run_with(
            &[
                "explain",
                "policy.yaml",
                "--host",
                "api.test",
                "--path",
                "/orders/7",
                "--claims",
                "-",
                "--at",
                "2027-01-15T08:00:00Z",
            ],
            claims,
        );
        assert_eq!(run.code, 1, "{claims}: {}", run.errors);
        assert!(
            run.output.starts_with(&format!("deny 401 {reason}: ")),
            "{claims}: {}",
            run.output
        );
        assert!(run.output.contains(line), "{claims}: {}", run.output);
        assert!(
            !run.output.contains("\nrules\n"),
            "{claims}: the walk ends at the token"
        );
    }
}

#[test]
fn a_request_that_is_refused_for_its_form_says_why() {
    let folder = folder();
    for (path, line) in [
        (
            "/orders/%2f",
            "no  path  /orders/%2f: it has the escape %2F, which some servers resolve and others do not",
        ),
        (
            "/orders/../..",
            "no  path  /orders/../..: it has a way up above the root",
        ),
        (
            "/orders#x",
            "no  path  /orders#x: it has a fragment, which is no part of a request's target",
        ),
    ] {
        let run = explain(&folder, "GET", path, &[]);
        assert!(
            run.output.starts_with("deny 400 path_ambiguous: "),
            "{}",
            run.output
        );
        assert!(run.output.contains(line), "{}", run.output);
    }
    let run = explain(&folder, "GET", "/Orders/./x//y", &[]);
    assert!(
        run.output
            .contains("path    /Orders/x/y (came as /Orders/./x//y)"),
        "{}",
        run.output
    );
    assert!(
        run.output.contains("this  rest  by its route api.test"),
        "{}",
        run.output
    );
}

#[test]
fn nothing_in_a_request_reaches_the_terminal_as_it_is() {
    let folder = folder().with(
        "hostile.json",
        r#"{"sub": "a\u001b[2J", "groups": ["\u202e\u0007"]}"#,
    );
    let run = explain(
        &folder,
        "G\u{1b}[2J",
        "/orders/\u{1b}]0;x\u{7}",
        &["--claims", "hostile.json"],
    );
    let other = explain(&folder, "GET", "/orders/7", &["--claims", "hostile.json"]);
    for output in [&run.output, &other.output] {
        assert!(
            !output.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{output:?}"
        );
    }
    assert!(
        other.output.contains(r#"it is ["\u{202e}\u{7}"]"#),
        "{}",
        other.output
    );
}

#[test]
fn a_question_without_an_answer_is_an_error() {
    let folder = folder()
        .with(
            "wrong.yaml",
            &POLICY.replace("api.test, path", "API.test, path"),
        )
        .with("two.yaml", &format!("{POLICY}---\n{POLICY}"))
        .with("list.yaml", "[1]\n")
        .with("keys.json", "{}");
    let ask = |file: &str, options: &[&str]| {
        let all = [
            &["explain", file, "--host", "api.test", "--path", "/"],
            options,
        ]
        .concat();
        folder.run(&all)
    };
    for (run, want) in [
        (
            ask("wrong.yaml", &[]),
            "the filter refuses this configuration:\nwrong.yaml:8:28: namespaces[0].routes[0].host",
        ),
        (ask("two.yaml", &[]), "two.yaml: 2 configurations"),
        (
            ask("policy.yaml", &["--claims", "list.yaml"]),
            "list.yaml: not one object",
        ),
        (
            ask(
                "policy.yaml",
                &["--claims", "reader.yaml", "--provider", "x"],
            ),
            "there is no provider \"x\"; there are: people",
        ),
        (
            ask("policy.yaml", &["--keys", "keys.json"]),
            "keys.json: the key set is refused",
        ),
        (ask("policy.yaml", &["--at", "noon"]), "--at: a time in UTC"),
        (
            ask("policy.yaml", &["--source", "here"]),
            "--source: an address",
        ),
        (
            ask("policy.yaml", &["--header", "x"]),
            "--header: a name, a colon and a value",
        ),
        (
            ask("policy.yaml", &["--token", "@missing"]),
            "cannot read missing",
        ),
    ] {
        assert_eq!(run.code, 2, "{want}");
        assert!(run.errors.contains(want), "{want}: {}", run.errors);
        assert_eq!(run.output, "", "{want}");
    }
}

#[test]
fn a_rule_in_shadow_mode_says_what_it_would_do() {
    let policy = POLICY.replace("action: deny,", "action: deny, mode: shadow,");
    let folder = folder().with("policy.yaml", &policy);
    let run = explain(
        &folder,
        "GET",
        "/orders/secrets/a",
        &["--claims", "reader.yaml"],
    );
    assert_eq!(run.code, 0);
    let note = "note: if every rule were enforced it would be kept out by rule no-secrets\n";
    assert!(run.output.contains(note), "{}", run.output);
    assert!(
        run.output
            .contains("is in shadow mode: it is recorded and decides about nothing")
    );
}
