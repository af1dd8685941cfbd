//! The front's configuration files, good and bad. Each file in `fixtures/config/invalid` opens with
//! a comment: what the front must say about it.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use e2e::{pki::Pki, ports, run_folder::RunFolder, tools};

#[test]
fn good_configurations_are_accepted_in_silence() {
    let folder = with_certificates();
    for file in fixtures("valid") {
        let output = front("check", &file, &folder);
        assert_eq!(
            said(&output),
            (Some(0), String::new(), String::new()),
            "{}",
            file.display()
        );
    }
}

#[test]
fn bad_configurations_are_refused_with_one_message_and_exit_code_64() {
    let folder = with_certificates();
    for file in fixtures("invalid") {
        let text = fs::read_to_string(&file).unwrap();
        let expected = opening_comment(&text);
        for command in ["check", "run"] {
            let (code, stdout, stderr) = said(&front(command, &file, &folder));
            let name = format!("{command} {}", file.display());
            assert_eq!((code, stdout.as_str()), (Some(64), ""), "{name}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{name}: {stderr}");
            assert!(stderr.contains(&expected), "{name}: {stderr}");
        }
    }
}

/// What the error must say: the lines of the comment that a fixture opens with, as one.
fn opening_comment(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("# "))
        .collect();
    assert!(!lines.is_empty(), "no comment at the top: {text}");
    lines.join(" ")
}

/// Not among the fixtures, for they are all YAML.
#[test]
fn a_file_that_is_no_yaml_is_refused_by_its_name_and_line() {
    let folder = with_certificates();
    let file = folder
        .write("front.yaml", "workers: 2\nlisteners: ]\n")
        .unwrap();
    let (code, _stdout, stderr) = said(&front("check", &file, &folder));
    assert_eq!((code, stderr.lines().count()), (Some(64), 1), "{stderr}");
    assert!(
        stderr.contains("front.yaml") && stderr.contains("line 2"),
        "{stderr}"
    );
}

/// A port that is in use would be complained about first, if it were bound first.
#[test]
fn a_bad_configuration_binds_no_port() {
    let folder = with_certificates();
    let taken = TcpListener::bind(ports::free().unwrap()).unwrap();
    let text = fs::read_to_string(fixture("valid/everything.yaml")).unwrap();
    let text = text.replace("127.0.0.1:9443", &taken.local_addr().unwrap().to_string());
    let free_admin = ports::free().unwrap().to_string();
    let good = text.replace("127.0.0.1:9900", &free_admin);
    let cases = [
        ("good", good.clone(), 1),
        ("bad", good.replace("mesh-ca", "absent"), 64),
    ];
    for (name, text, code) in cases {
        let file = folder.write("front.yaml", &text).unwrap();
        let output = front("run", &file, &folder);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{name}: {}",
            said(&output).2
        );
    }
}

/// It is there to be copied.
#[test]
fn the_front_of_the_example_manifests_is_accepted() {
    let folder = with_certificates();
    let example = tools::in_repository("istio-manifests/overlays/example/ops/front.yaml");
    let mut text = fs::read_to_string(example).unwrap();
    for (mounted, here) in [
        ("/etc/front/tls/tls.crt", "public.crt"),
        ("/etc/front/tls/tls.key", "public.key"),
        ("/etc/front/mesh/ca.crt", "mesh-ca.crt"),
        ("/etc/front/mesh/tls.crt", "front.crt"),
        ("/etc/front/mesh/tls.key", "front.key"),
    ] {
        assert!(text.contains(mounted), "{mounted}");
        text = text.replace(mounted, here);
    }
    let file = folder.write("front.yaml", &text).unwrap();
    let output = front("check", &file, &folder);
    assert_eq!(said(&output), (Some(0), String::new(), String::new()));
}

/// The files that the fixtures name are all here.
fn with_certificates() -> RunFolder {
    let folder = RunFolder::create().unwrap();
    Pki::create(&folder).unwrap();
    folder
}

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(fixture(kind)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{kind}");
    files
}

fn fixture(name: &str) -> PathBuf {
    tools::in_repository("tests/fixtures/config")
        .join(name)
        .canonicalize()
        .unwrap()
}

fn front(command: &str, config: &Path, folder: &RunFolder) -> Output {
    let binary = tools::front().unwrap_or_else(|error| panic!("{error}"));
    Command::new(binary)
        .args([command, "--config"])
        .arg(config)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}
