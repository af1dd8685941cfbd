//! The pages of `docs/`: what they show is what the program says.

use std::fs;

use crate::program::{Folder, root};

/// The code blocks of a page: what stands after the fence, the line before it, and the text.
pub(crate) fn blocks(page: &str) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let mut blocks = Vec::new();
    let mut before = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let text = text.join("\n") + "\n";
            blocks.push((language.into(), std::mem::take(&mut before), text));
        } else if !line.is_empty() {
            before = line.into();
        }
    }
    blocks
}

/// Every preset page, and the reference.
pub(crate) fn pages_with_a_configuration() -> Vec<String> {
    let presets = fs::read_dir(root().join("docs/presets")).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut pages: Vec<_> = presets
        .map(|entry| format!("presets/{}", name(entry.unwrap())))
        .collect();
    pages.sort();
    pages.push("filter.md".into());
    pages
}

/// The words of a command line, in which only single quotes quote.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(String::from));
        }
    }
    words
}

/// A block after a line that ends with "`NAME`:" is that file; a block `console` has commands and what they print.
/// A line `exit code N` tells how a command ended that did not end with 0.
#[test]
fn what_the_page_shows_is_what_happens() {
    let mut folder = Folder::new();
    let mut commands = 0;
    for (language, before, text) in blocks("identity-policy.md") {
        let name = before
            .strip_suffix("`:")
            .and_then(|line| line.rsplit('`').next());
        if let Some(name) = name {
            folder = folder.with(name, &text);
        }
        if language != "console" {
            continue;
        }
        for command in text.split("$ identity-policy ").skip(1) {
            commands += 1;
            let (line, want) = command.split_once('\n').unwrap();
            let run = folder.run(&words(line));
            let ended = match run.code {
                0 => String::new(),
                code => format!("exit code {code}\n"),
            };
            let got = format!("{}{}{ended}", run.output, run.errors);
            assert_eq!(got.trim(), want.trim(), "$ identity-policy {line}");
        }
    }
    assert!(commands > 0);
}
