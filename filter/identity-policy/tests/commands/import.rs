//! `import istio`: resources in, a configuration out, and what could not be carried over.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Folder, Run};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/import")
}

/// A folder with the files of one case.
fn case(name: &str) -> Folder {
    let mut files: Vec<_> = fs::read_dir(fixtures().join(name))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files.iter().fold(Folder::new(), |folder, file| {
        let inner = format!("{name}/{}", file.file_name().unwrap().to_str().unwrap());
        folder.with(&inner, &fs::read_to_string(file).unwrap())
    })
}

/// Imports one text.
fn import(text: &str) -> Run {
    Folder::new()
        .with("f.yaml", text)
        .run(&["import", "istio", "f.yaml"])
}

/// The configuration that comes out of a text, and what was not carried over.
fn imported(text: &str) -> (Value, Vec<String>) {
    let run = import(text);
    assert!(run.code < 2, "{}", run.errors);
    let lines = run.errors.lines().map(String::from).collect();
    (serde_yaml_ng::from_str(&run.output).unwrap(), lines)
}

#[test]
fn each_case_comes_out_as_written_down_and_is_right() {
    for (name, code) in [("shop", 0), ("edge", 1), ("traps", 1)] {
        let run = case(name).run(&["import", "istio", name]);
        let golden =
            |end: &str| fs::read_to_string(fixtures().join(format!("{name}.{end}"))).unwrap();
        assert_eq!(run.output, golden("golden.yaml"), "{name}");
        assert_eq!(run.errors, golden("golden.txt"), "{name}");
        assert_eq!(run.code, code, "{name}");
        let check = Folder::new().run_with(&["check", "-"], &run.output);
        let mistakes = check
            .output
            .lines()
            .filter(|line| !line.contains(": warning: "))
            .count();
        assert_eq!((check.code, mistakes), (0, 0), "{name}: {}", check.output);
    }
}

#[test]
fn json_says_the_same() {
    let plain = case("edge").run(&["import", "istio", "edge"]);
    let run = case("edge").run(&["import", "istio", "--json", "edge"]);
    assert_eq!((run.code, run.errors.as_str()), (1, ""));
    let all: Value = serde_json::from_str(&run.output).unwrap();
    let yaml: Value = serde_yaml_ng::from_str(&plain.output).unwrap();
    assert_eq!(all["configuration"], yaml);
    let listed = all["not_carried_over"].as_array().unwrap();
    assert_eq!(listed.len(), plain.errors.lines().count());
    for (loss, line) in listed.iter().zip(plain.errors.lines()) {
        let text = |name: &str| loss[name].as_str().unwrap();
        let want = format!(
            "{}:{}: {}: {}: {}: {}",
            text("file"),
            loss["line"],
            text("resource"),
            text("field"),
            text("why"),
            text("instead")
        );
        assert_eq!(line, want);
    }
}

/// A policy of the gateway's with these members of `spec`, and tokens of one issuer.
fn at_gateway(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: t, namespace: istio-ingress}}\n\
         spec: {{jwtRules: [{{issuer: \"https://id.test\", audiences: [a], jwksUri: \"https://id.test/k\"}}]}}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g, namespace: istio-ingress}}\n\
         spec: {{servers: [{{hosts: [api.test]}}]}}\n---\n\
         apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: istio-ingress}}\n\
         spec: {spec}\n"
    )
}

#[test]
fn conditions_become_what_they_mean() {
    for (spec, want) in [
        ("{}", "[]"),
        ("{rules: [{}]}", r#"[{"anonymous":true}]"#),
        (
            "{action: DENY, rules: [{}]}",
            r#"[{"action":"deny"},{"anonymous":true}]"#,
        ),
        ("{action: DENY}", r#"[{"anonymous":true}]"#),
        (
            "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}",
            r#"[{"providers":["id.test"]}]"#,
        ),
        (
            "{rules: [{from: [{source: {requestPrincipals: ['https://id.test/a', 'https://other.test/b', '*/c']}}]}]}",
            r#"[{"providers":["id.test"],"when":[{"any":[{"claim":"sub","one_of":["a","c"]},{"claim":"sub","glob":"*/c"}]}]}]"#,
        ),
        (
            "{rules: [{when: [{key: 'request.auth.claims[permission]', values: [r], notValues: [w]}]}]}",
            r#"[{"providers":["id.test"],"when":[{"claim":"permission","contains":"r","words":true},{"not":{"claim":"permission","contains":"w","words":true}}]}]"#,
        ),
        (
            "{rules: [{when: [{key: 'request.auth.audiences', values: [a]}, {key: 'request.auth.presenter', values: [c]}]}]}",
            r#"[{"providers":["id.test"],"when":[{"claim":"aud","contains":"a"},{"claim":"azp","contains":"c"}]}]"#,
        ),
        (
            "{rules: [{when: [{key: 'request.headers[X-Tenant]', values: [a, b], notValues: ['*z']}]}]}",
            r#"[{"anonymous":true,"when":[{"header":"x-tenant","one_of":["a","b"]},{"not":{"glob":"*z","header":"x-tenant"}}]}]"#,
        ),
        (
            "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}], when: [{key: remote.ip, values: [10.1.0.0/16, 192.0.2.1]}]}]}",
            r#"[{"anonymous":true,"sources":["10.1.0.0/16"]}]"#,
        ),
        (
            "{rules: [{from: [{source: {remoteIpBlocks: [10.0.0.1]}}], to: [{operation: {methods: [GET]}}, {operation: {paths: ['/a/*']}}]}]}",
            r#"[{"anonymous":true,"methods":["GET"],"sources":["10.0.0.1"]},{"anonymous":true,"paths":["/a/**"],"sources":["10.0.0.1"]}]"#,
        ),
    ] {
        let (document, lines) = imported(&at_gateway(spec));
        let mut rules = document["policy"]["rules"].clone();
        for rule in rules.as_array_mut().unwrap() {
            let members = rule.as_object_mut().unwrap();
            members.remove("name");
            assert_eq!(members.remove("namespace"), Some("gateway".into()));
        }
        assert_eq!(rules.to_string(), want, "{spec}");
        assert_eq!(lines, [""; 0], "{spec}");
    }
}

#[test]
fn what_cannot_be_said_opens_nothing() {
    for condition in [
        "from: [{source: {principals: ['cluster.local/ns/a/sa/b']}}]",
        "from: [{source: {notPrincipals: ['cluster.local/ns/a/sa/b']}}]",
        "from: [{source: {namespaces: [a]}}]",
        "from: [{source: {notNamespaces: [a]}}]",
        "from: [{source: {serviceAccounts: [a]}}]",
        "from: [{source: {}}]",
        "to: [{operation: {ports: ['443']}}]",
        "to: [{operation: {notPorts: ['443']}}]",
        "to: [{operation: {notHosts: [a.test]}}]",
        "to: [{operation: {notPaths: [/a]}}]",
        "to: [{operation: {methods: ['G*']}}]",
        "to: [{operation: {paths: ['*.css']}}]",
        "to: [{operation: {hosts: ['api.*']}}]",
        "to: [{operation: {surprise: [a]}}]",
        "when: [{key: source.namespace, values: [a]}]",
        "when: [{key: source.principal, values: [a]}]",
        "when: [{key: destination.port, values: ['443']}]",
        "when: [{key: connection.sni, values: [a]}]",
        "when: [{key: 'experimental.envoy.filters.network.x[y]', values: [a]}]",
        "when: [{key: 'request.headers[Authorization]', values: [a]}]",
        "surprise: 1",
    ] {
        let (document, lines) = imported(&at_gateway(&format!("{{rules: [{{{condition}}}]}}")));
        assert_eq!(
            document["policy"]["rules"].as_array().unwrap().len(),
            0,
            "{condition}"
        );
        assert!(!lines.is_empty(), "{condition}");
        let (document, lines) = imported(&at_gateway(&format!(
            "{{action: DENY, rules: [{{{condition}}}]}}"
        )));
        let rules = document["policy"]["rules"].as_array().unwrap();
        let denies_all = rules
            .iter()
            .any(|rule| rule["action"] == "deny" && rule.as_object().unwrap().len() == 3);
        assert!(denies_all && !lines.is_empty(), "{condition}: {document}");
    }
}

#[test]
fn a_token_that_nobody_checks_for_these_workloads_opens_nothing() {
    let text = at_gateway("{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}");
    let text = text.replace(
        "RequestAuthentication\nmetadata: {name: t, namespace: istio-ingress}",
        "RequestAuthentication\nmetadata: {name: t, namespace: far}",
    );
    let (document, lines) = imported(&text);
    assert_eq!(document["policy"]["rules"], serde_json::json!([]));
    assert!(
        lines.iter().any(|line| line.contains("nobody has a token")),
        "{lines:?}"
    );
}

#[test]
fn policies_of_gateway_and_workload_are_not_joined_by_or() {
    let workload = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: w, namespace: shop}\n\
        spec: {rules: [{to: [{operation: {hosts: [shop.test], methods: [GET]}}]}]}\n";
    let (document, lines) =
        imported(&(at_gateway("{rules: [{to: [{operation: {paths: [/a]}}]}]}") + workload));
    let shop = |document: &Value| {
        let rules = document["policy"]["rules"].as_array().unwrap().clone();
        rules
            .into_iter()
            .filter(|rule| rule["namespace"] == "shop")
            .collect::<Vec<_>>()
    };
    assert_eq!(shop(&document), [] as [Value; 0]);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("rules cannot be joined by \"and\"")),
        "{lines:?}"
    );
    let (document, lines) = imported(&(at_gateway("{rules: [{}]}") + workload));
    assert_eq!(shop(&document).len(), 1, "{document}");
    assert_eq!(lines, [""; 0]);
}

#[test]
fn two_answers_to_one_issuer_are_one_provider() {
    let second = "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: u, namespace: istio-ingress}\n\
        spec: {jwtRules: [{issuer: \"https://id.test\", audiences: [AUD], jwksUri: \"https://id.test/k\"}]}\n";
    let spec = "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}";
    for (audience, losses) in [("a", 0), ("b", 1)] {
        let (document, lines) = imported(&(at_gateway(spec) + &second.replace("AUD", audience)));
        assert_eq!(document["providers"].as_array().unwrap().len(), 1);
        assert_eq!(lines.len(), losses, "{lines:?}");
    }
}

#[test]
fn a_question_without_an_answer_is_neither_yes_nor_no() {
    let folder = Folder::new()
        .with(
            "other.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
        )
        .with("no.yaml", "a: [\n");
    for (file, want) in [
        (
            "other.yaml",
            "neither a RequestAuthentication nor an AuthorizationPolicy",
        ),
        ("no.yaml", "no.yaml: 2:1: "),
        ("missing", "cannot read missing"),
    ] {
        let run = folder.run(&["import", "istio", file]);
        assert_eq!((run.code, run.output.as_str()), (2, ""), "{file}");
        assert!(run.errors.contains(want), "{}", run.errors);
    }
}
