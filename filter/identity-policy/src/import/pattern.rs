//! Istio's matches of texts, and what can be said of hosts and paths instead.

use identity_filter::host::HostPattern;
use identity_filter::path::PathPattern;

/// Which way an answer may err where it cannot be exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lean {
    /// Less may match: what lets in.
    Narrow,
    /// More may match: what keeps out.
    Wide,
}

/// A value of a match: `a`, `a*`, `*a` or `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    Exact(&'a str),
    Prefix(&'a str),
    Present,
    Suffix(&'a str),
}

impl<'a> Text<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        if text == "*" {
            Self::Present
        } else if let Some(suffix) = text.strip_prefix('*') {
            Self::Suffix(suffix)
        } else if let Some(prefix) = text.strip_suffix('*') {
            Self::Prefix(prefix)
        } else {
            Self::Exact(text)
        }
    }
}

/// What can be said instead of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// All that there is.
    All,
    /// Nothing that leans the right way.
    No(&'static str),
    /// This.
    This(String),
    /// This, which is not the same.
    Nearly(String, &'static str),
}

/// A host, or every host below one. A port beside it makes no difference here: both are the same host.
pub(crate) fn host(text: &str, lean: Lean) -> Said {
    let text = text.to_ascii_lowercase();
    if text == "*" {
        return Said::All;
    }
    let name = match text.strip_suffix(":*") {
        Some(name) => name,
        None => match text.split_once(':') {
            Some((name, _)) if lean == Lean::Wide => name,
            Some(_) => return Said::No("a host is judged without its port"),
            None => &text,
        },
    };
    match HostPattern::parse(name) {
        Some(_) => Said::This(name.into()),
        None => Said::No("a host pattern is a host, or `*.` and a host"),
    }
}

/// A path without its query.
pub(crate) fn path(text: &str, lean: Lean) -> Said {
    let pattern = |text: String| {
        if PathPattern::parse(&text).is_some() {
            Said::This(text)
        } else {
            Said::No("it is not in the canonical form in which paths are judged")
        }
    };
    if text.contains('{') {
        let segment = |segment: &str| match segment {
            "{*}" => Some("*".to_owned()),
            "{**}" => Some("**".to_owned()),
            other => (!other.contains(['*', '{', '}'])).then(|| other.to_owned()),
        };
        let segments: Option<Vec<_>> = text.split('/').map(segment).collect();
        return segments.map_or(
            Said::No("only whole segments can be left open"),
            |segments| pattern(segments.join("/")),
        );
    }
    match Text::read(text) {
        Text::Present => Said::All,
        Text::Exact(path) if path.contains('*') => Said::No("`*` stands for whole segments"),
        Text::Exact(path) => pattern(path.into()),
        Text::Prefix(prefix) | Text::Suffix(prefix) if prefix.contains('*') => {
            Said::No("`*` stands for whole segments")
        }
        Text::Prefix("/") => Said::This("/**".into()),
        Text::Prefix(prefix) => match (prefix.strip_suffix('/'), lean) {
            (Some(whole), _) => pattern(format!("{whole}/**")),
            (None, Lean::Narrow) => match pattern(format!("{prefix}/**")) {
                Said::This(text) => Said::Nearly(text, "only whole segments can be left open"),
                said => said,
            },
            (None, Lean::Wide) => match prefix.rsplit_once('/') {
                Some((parent, _)) => match pattern(format!("{parent}/*/**")) {
                    Said::This(text) => Said::Nearly(text, "only whole segments can be left open"),
                    said => said,
                },
                None => Said::No("a path begins with `/`"),
            },
        },
        Text::Suffix(suffix) if suffix.starts_with('/') => pattern(format!("/**{suffix}")),
        Text::Suffix(_) => Said::No("only whole segments can be left open"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_said_without_its_port() {
        let this = |text: &str| Said::This(text.into());
        for (text, want) in [
            ("Api.Example.com", this("api.example.com")),
            ("*.example.com", this("*.example.com")),
            ("example.com:*", this("example.com")),
            ("*", Said::All),
        ] {
            assert_eq!(host(text, Lean::Narrow), want, "{text}");
        }
        for text in ["*example.com", "example.*", "example.com:8080"] {
            assert!(matches!(host(text, Lean::Narrow), Said::No(_)), "{text}");
        }
        assert_eq!(host("example.com:8080", Lean::Wide), this("example.com"));
    }

    #[test]
    fn a_path_is_said_in_whole_segments() {
        let said = |text: &str, lean| match path(text, lean) {
            Said::All => "*".to_owned(),
            Said::No(_) => String::new(),
            Said::This(text) => text,
            Said::Nearly(text, _) => format!("~{text}"),
        };
        for (text, narrow, wide) in [
            ("/a", "/a", "/a"),
            ("/a/*", "/a/**", "/a/**"),
            ("/*", "/**", "/**"),
            ("*", "*", "*"),
            ("/a*", "~/a/**", "~/*/**"),
            ("/v1/a*", "~/v1/a/**", "~/v1/*/**"),
            ("*/a", "/**/a", "/**/a"),
            ("*.jpg", "", ""),
            ("/a/{*}/b", "/a/*/b", "/a/*/b"),
            ("/a/{**}", "/a/**", "/a/**"),
            ("/a/{*}x", "", ""),
            ("/a/*/b", "", ""),
            ("/a;b", "", ""),
            ("a", "", ""),
        ] {
            assert_eq!(
                (said(text, Lean::Narrow), said(text, Lean::Wide)),
                (narrow.into(), wide.into()),
                "{text}"
            );
        }
    }
}
