//! `docs/from-haproxy.md` as who follows it reads it: its configurations and commands, for the
//! addresses and files of a run.

use std::fs;

use e2e::tools;

/// The page.
pub(crate) struct Guide(String);

impl Guide {
    /// Reads it.
    pub(crate) fn read() -> Self {
        let path = tools::in_repository("docs/from-haproxy.md");
        Self(fs::read_to_string(path).unwrap())
    }

    /// The block whose first line is this comment, without that line.
    pub(crate) fn block(&self, language: &str, title: &str) -> String {
        let start = format!("```{language}\n# {title}\n");
        let (_before, rest) = self
            .0
            .split_once(&start)
            .unwrap_or_else(|| panic!("no block {title}"));
        let (block, _after) = rest.split_once("\n```").unwrap();
        format!("{block}\n")
    }

    /// The same with what is on a machine of a run in place of what the page names.
    pub(crate) fn block_here(
        &self,
        language: &str,
        title: &str,
        here: &[(&str, String)],
    ) -> String {
        let mut block = self.block(language, title);
        for (there, here) in here {
            assert!(block.contains(there), "{title}: {there}");
            block = block.replace(there, here);
        }
        block
    }

    /// The one line of a shell block that begins so.
    pub(crate) fn command(&self, beginning: &str) -> &str {
        let mut lines = self.0.lines().map(str::trim);
        lines
            .find(|line| line.starts_with(beginning))
            .unwrap_or_else(|| panic!("no command {beginning}"))
    }

    /// The request to HAProxy's socket that stands on the page, if it does.
    pub(crate) fn asks_haproxy<'a>(&self, request: &'a str) -> &'a str {
        let command = format!("echo \"{request}\" | socat stdio /run/haproxy/admin.sock");
        let stands = self.0.contains(&command) || self.0.contains(&format!("`{request}`"));
        assert!(stands, "{request}");
        request
    }
}
