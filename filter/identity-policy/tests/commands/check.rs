//! `check`.

use crate::pages::{blocks, pages_with_a_configuration};
use crate::program::{Folder, root};

const RIGHT: &str = "\
providers: []
namespaces: [{name: web, routes: [{host: www.example.com}]}]
policy: {rules: [{name: all, namespace: web, anonymous: true}]}
";

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}\n")).collect()
}

#[test]
fn what_the_repository_shows_is_right() {
    let folder = Folder::new();
    let manifests =
        root().join("istio-manifests/overlays/example/platform/site/policy/identity-filter.yaml");
    folder
        .run(&["check".as_ref(), manifests.as_os_str()])
        .assert(0, "");
    for page in pages_with_a_configuration() {
        let yaml: Vec<_> = blocks(&page)
            .into_iter()
            .filter(|(language, _, text)| language == "yaml" && text.contains("providers:"))
            .collect();
        assert_eq!(yaml.len(), 1, "{page}");
        let run = folder.run_with(&["check", "-"], &yaml[0].2);
        assert_eq!(
            (run.code, run.output.as_str()),
            (0, ""),
            "{page}: {}",
            run.errors
        );
    }
}

#[test]
fn every_form_of_a_file_is_read() {
    let plugin = |kind: &str, way: &str, by: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\n---\napiVersion: extensions.istio.io/v1alpha1\nkind: {kind}\nspec:\n{way}{}",
            indented(RIGHT, by)
        )
    };
    let value: serde_json::Value = serde_yaml_ng::from_str(RIGHT).unwrap();
    let files = [
        ("bare.yaml", RIGHT.to_owned()),
        ("bare.json", serde_json::to_string_pretty(&value).unwrap()),
        (
            "plugin.yaml",
            plugin("WasmPlugin", "  pluginConfig:\n", "    "),
        ),
        (
            "extension.yaml",
            plugin("TrafficExtension", "  wasm:\n    pluginConfig:\n", "      "),
        ),
    ];
    for (name, text) in files {
        let folder = Folder::new().with(name, &text);
        folder.run(&["check", name]).assert(0, "");
        let wrong = text.replace("anonymous", "anonymus");
        let run = folder.with(name, &wrong).run(&["check", name]);
        assert_eq!(run.code, 1, "{name}");
        let line = 1 + wrong[..wrong.find("anonymus").unwrap()]
            .matches('\n')
            .count();
        assert!(
            run.output.starts_with(&format!("{name}:{line}:")),
            "{name}: {}",
            run.output
        );
        assert!(
            run.output
                .contains(": policy.rules[0].anonymus: unknown field `anonymus`"),
            "{}",
            run.output
        );
    }
}

#[test]
fn all_mistakes_of_all_files_are_named() {
    let folder = Folder::new().with("right.yaml", RIGHT).with(
        "wrong.yaml",
        "\
providers: []
namespaces: [{name: web, routes: [{host: WWW.example.com}]}]
policy:
  mode: dry
  rules: [{name: all, namespace: web, anonymous: true}]
limits: {token_bytes: 1}
",
    );
    let run = folder.run(&["check", "wrong.yaml", "right.yaml"]);
    assert_eq!(run.code, 1);
    let places: Vec<_> = run
        .output
        .lines()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        places,
        [
            "wrong.yaml:4:3 policy.mode",
            "wrong.yaml:6:10 limits.token_bytes",
            "wrong.yaml:2:36 namespaces[0].routes[0].host",
        ]
    );
}

#[test]
fn a_text_that_is_not_read_in_one_way_is_a_mistake() {
    for (name, text, want) in [
        ("not YAML", "providers: [\n", "f.yaml:2:1: "),
        (
            "a name twice",
            "providers: []\nproviders: []\n",
            "f.yaml:1:1: ",
        ),
    ] {
        let run = Folder::new().with("f.yaml", text).run(&["check", "f.yaml"]);
        assert_eq!(run.code, 1, "{name}");
        assert!(run.output.starts_with(want), "{name}: {}", run.output);
    }
}

#[test]
fn a_question_without_an_answer_is_neither_yes_nor_no() {
    let folder = Folder::new().with("other.yaml", "apiVersion: v1\nkind: ConfigMap\n");
    for (arguments, want) in [
        (
            ["check", "other.yaml"].as_slice(),
            "other.yaml: no configuration",
        ),
        (&["check", "missing.yaml"], "cannot read missing.yaml"),
        (&["check"], "required arguments"),
        (&["chek", "other.yaml"], "unrecognized subcommand"),
    ] {
        let run = folder.run(arguments);
        assert_eq!(run.code, 2, "{arguments:?}");
        assert!(run.errors.contains(want), "{}", run.errors);
        assert_eq!(run.output, "");
    }
}
