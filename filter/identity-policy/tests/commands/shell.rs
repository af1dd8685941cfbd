//! `completions` and `man`.

use std::process::{Command, Stdio};

use crate::program::Folder;

#[test]
fn bash_completes_what_is_typed() {
    let folder = Folder::new();
    let script = folder.run(&["completions", "bash"]);
    assert_eq!((script.code, script.errors.as_str()), (0, ""));
    let function = script.output.split("complete -F ").nth(1).unwrap();
    let function = function.split(' ').next().unwrap();
    for (typed, want) in [
        ("sch", "schema"),
        ("import i", "istio"),
        ("schema --f", "--for"),
        ("schema --for man", "manifest"),
        ("check --deny", "--deny-warnings"),
        ("completions z", "zsh"),
    ] {
        let words: Vec<_> = typed.split(' ').collect();
        let last = words.len();
        let test = format!(
            "{}\nCOMP_WORDS=(identity-policy {typed})\nCOMP_CWORD={last}\n\
             {function} identity-policy '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            script.output,
            words[last - 1],
            if last > 1 {
                words[last - 2]
            } else {
                "identity-policy"
            },
        );
        let output = Command::new("bash")
            .args(["--norc", "--noprofile", "-c", &test])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            found.lines().collect::<Vec<_>>(),
            [want],
            "{typed}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn every_shell_has_its_script() {
    for (shell, want) in [
        ("bash", "complete -F"),
        ("fish", "complete -c identity-policy"),
        ("zsh", "#compdef identity-policy"),
    ] {
        let run = Folder::new().run(&["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(run.output.contains(want), "{shell}");
    }
    assert_eq!(Folder::new().run(&["completions", "csh"]).code, 2);
}

#[test]
fn the_page_has_every_command_and_every_option() {
    let folder = Folder::new();
    let page = folder.run(&["man"]);
    assert_eq!((page.code, page.errors.as_str()), (0, ""));
    assert!(
        page.output.contains(".TH identity-policy 1"),
        "{}",
        page.output
    );
    // What the commands' own help names stands in the page.
    let plain = page
        .output
        .replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "");
    let mut open = vec![Vec::<String>::new()];
    let mut count = 0;
    while let Some(command) = open.pop() {
        let arguments: Vec<_> = command
            .iter()
            .map(String::as_str)
            .chain(["--help"])
            .collect();
        let help = folder.run(&arguments).output;
        let listed = help
            .split("Commands:\n")
            .nth(1)
            .map_or("", |rest| rest.split("\n\n").next().unwrap());
        let names: Vec<_> = listed
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .map(|line| line.split_whitespace().next().unwrap())
            .filter(|name| *name != "help")
            .collect();
        if names.is_empty() {
            count += 1;
            let title = format!(
                ".SH \"IDENTITY-POLICY {}\"",
                command.join(" ").to_uppercase()
            );
            assert!(plain.contains(&title), "{title}\n{plain}");
            let options = help
                .split_whitespace()
                .filter(|word| word.starts_with("--"));
            for option in options {
                let option = option.trim_matches(|letter: char| !letter.is_ascii_lowercase());
                assert!(
                    plain.contains(&format!("--{option}")),
                    "{command:?} --{option}"
                );
            }
        }
        open.extend(
            names
                .iter()
                .map(|name| command.iter().cloned().chain([(*name).into()]).collect()),
        );
    }
    assert!(count >= 5, "{count}");
}
