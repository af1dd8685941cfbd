//! `check`, of what is right and may not be meant.

use crate::program::Folder;

const RIGHT: &str = "\
providers: []
namespaces: [{name: web, routes: [{host: www.example.com}]}]
policy:
  rules:
  - {name: all, namespace: web, anonymous: true}
  - name: again
    namespace: web
    anonymous: true
    methods: [GET]
";

const WARNING: &str = "right.yaml:6:5: warning: policy.rules[1]: rule \"again\" never decides: \"all\" \
    (policy.rules[0]) is tried first and is about all of its requests; put it first where it is meant to be an \
    exception, or take it out\n";

#[test]
fn a_warning_names_its_place_and_is_no_mistake() {
    let folder = Folder::new().with("right.yaml", RIGHT);
    folder.run(&["check", "right.yaml"]).assert(0, WARNING);
    folder
        .run(&["check", "--deny-warnings", "right.yaml"])
        .assert(1, WARNING);
}

#[test]
fn without_a_warning_none_is_denied() {
    let text = RIGHT.replace(
        "  - name: again\n    namespace: web\n    anonymous: true\n    methods: [GET]\n",
        "",
    );
    let folder = Folder::new().with("right.yaml", &text);
    folder
        .run(&["check", "--deny-warnings", "right.yaml"])
        .assert(0, "");
}

#[test]
fn what_is_wrong_has_mistakes_and_no_warnings() {
    let folder = Folder::new()
        .with("right.yaml", RIGHT)
        .with("wrong.yaml", &RIGHT.replace("GET", "get"));
    let run = folder.run(&["check", "wrong.yaml", "right.yaml"]);
    let lines: Vec<_> = run.output.lines().collect();
    assert_eq!((run.code, lines.len()), (1, 2), "{}", run.output);
    assert!(
        lines[0].starts_with("wrong.yaml:9:15: policy.rules[1].methods[0]: is \"get\""),
        "{}",
        run.output
    );
    assert_eq!(format!("{}\n", lines[1]), WARNING);
}
