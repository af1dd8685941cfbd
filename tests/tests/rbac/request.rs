//! Requests by chance: most of them are nearly what some rule is about, and many are written in a way of
//! their own, which is what the two sides differ by.

use std::net::Ipv4Addr;

use e2e::random::Random;

use crate::policy::{HEADERS, METHODS, Path, Policy, Rule, SEGMENTS, Who};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) caller: Caller,
    pub(crate) fields: Vec<(String, &'static str)>,
    pub(crate) source: Ipv4Addr,
    pub(crate) traits: Vec<Trait>,
}

/// Whose token it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Nobody,
    Alice,
    Bob,
    Carol,
    /// With a token that nobody has signed.
    Impostor,
}

/// What is special about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trait {
    Backslash,
    BrokenEscape,
    Capital,
    DotBehindHost,
    DotSegment,
    EmptyHeader,
    EncodedBackslash,
    EncodedLetter,
    EncodedPercent,
    EncodedSlash,
    EscapeInLowerCase,
    Fragment,
    HeaderTwice,
    HeaderWithUnderscore,
    HostInCapitals,
    /// The path is all of a pattern but its `**`.
    NothingUnderStars,
    Null,
    Parameter,
    Port,
    Query,
    RawUtf8,
    SlashAtEnd,
    TwoSlashes,
    WayUp,
    WayUpEncoded,
}

impl Request {
    pub(crate) fn by_chance(policy: &Policy, random: &mut Random) -> Self {
        let rule = random.one_of(&policy.rules).clone();
        // One thing is left to chance, or none.
        let other = random.below(9);
        let fits = |part: usize| part != other;
        let segments = path(&rule, fits(0), random);
        let mut request = Self {
            method: if fits(1) {
                one_or(&rule.methods, &METHODS, random)
            } else {
                random.pick(&METHODS)
            },
            host: host(&rule, fits(2), random),
            path: format!("/{}", segments.join("/")),
            caller: caller(&rule, fits(3), random),
            fields: fields(&rule, fits(4), random),
            source: source(&rule, fits(5), random),
            traits: Vec::new(),
        };
        for twist in [
            request.respell_path(random),
            request.respell_host(random),
            request.respell_header(random),
        ] {
            request.traits.extend(twist);
        }
        if policy
            .rules
            .iter()
            .flat_map(|rule| &rule.paths)
            .any(|path| is_all_but_stars(path, &segments))
        {
            request.traits.push(Trait::NothingUnderStars);
        }
        request
    }

    /// As HTTP/1.1, for the one whose tokens these are.
    pub(crate) fn bytes(&self, token: Option<&str>) -> Vec<u8> {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            self.method, self.path, self.host
        );
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(token) = token {
            text.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        text.push_str("content-length: 0\r\n\r\n");
        text.into_bytes()
    }

    fn respell_path(&mut self, random: &mut Random) -> Option<Trait> {
        if random.below(2) == 0 {
            return None;
        }
        let twist = random.pick(PATH_TWISTS);
        // After one of its slashes, or before it.
        let slashes: Vec<_> = self.path.match_indices('/').map(|(at, _)| at).collect();
        let at = random.pick(&slashes);
        let (before, after) = self.path.split_at(at);
        let rest = &after[1..];
        self.path = match twist {
            Trait::Backslash => format!("{before}\\{rest}"),
            Trait::BrokenEscape => format!("{}%zz", self.path),
            Trait::Capital => self.path.to_ascii_uppercase(),
            Trait::DotSegment => format!("{before}/./{rest}"),
            Trait::EncodedBackslash => format!("{before}%5c{rest}"),
            Trait::EncodedLetter => {
                let mut letters = rest.chars();
                let letter = letters.next().filter(|letter| *letter != '/')?;
                format!("{before}/%{:02x}{}", u32::from(letter), letters.as_str())
            }
            Trait::EncodedPercent => format!("{}%25", self.path),
            Trait::EncodedSlash => format!("{before}%2f{rest}"),
            Trait::EscapeInLowerCase => format!("{}%c3%a4", self.path),
            Trait::Fragment => format!("{}#x", self.path),
            Trait::Null => format!("{}%00", self.path),
            Trait::Parameter => format!("{before};v=1/{rest}"),
            Trait::Query => format!("{}?x=/a/b", self.path),
            Trait::RawUtf8 => format!("{}\u{e4}", self.path),
            Trait::SlashAtEnd => format!("{}/", self.path),
            Trait::TwoSlashes => format!("{before}//{rest}"),
            Trait::WayUp => format!("{before}/x/../{rest}"),
            Trait::WayUpEncoded => format!("{before}/x/%2e%2e/{rest}"),
            _ => return None,
        };
        // `/` has one at its end already, and a parameter before the first slash is no path.
        let is_none = self.path.starts_with(';') || self.path == "//";
        if is_none {
            self.path = "/".to_owned();
            return None;
        }
        Some(twist)
    }

    fn respell_host(&mut self, random: &mut Random) -> Option<Trait> {
        let twist = random.pick(&[Trait::DotBehindHost, Trait::HostInCapitals, Trait::Port]);
        if random.below(4) > 0 {
            return None;
        }
        match twist {
            Trait::DotBehindHost => self.host.push('.'),
            Trait::HostInCapitals => self.host = self.host.to_ascii_uppercase(),
            _ => self.host.push_str(":8080"),
        }
        Some(twist)
    }

    fn respell_header(&mut self, random: &mut Random) -> Option<Trait> {
        if random.below(6) > 0 {
            return None;
        }
        let (name, value) = self.fields.first_mut()?;
        let twist = random.pick(&[
            Trait::EmptyHeader,
            Trait::HeaderTwice,
            Trait::HeaderWithUnderscore,
        ]);
        match twist {
            Trait::EmptyHeader => *value = "",
            Trait::HeaderTwice => {
                let second = (name.clone(), random.pick(&["gold", "silver"]));
                self.fields.push(second);
            }
            _ => *name = name.replace('-', "_"),
        }
        Some(twist)
    }
}

const PATH_TWISTS: &[Trait] = &[
    Trait::Backslash,
    Trait::BrokenEscape,
    Trait::Capital,
    Trait::DotSegment,
    Trait::EncodedBackslash,
    Trait::EncodedLetter,
    Trait::EncodedPercent,
    Trait::EncodedSlash,
    Trait::EscapeInLowerCase,
    Trait::Fragment,
    Trait::Null,
    Trait::Parameter,
    Trait::Query,
    Trait::RawUtf8,
    Trait::SlashAtEnd,
    Trait::TwoSlashes,
    Trait::WayUp,
    Trait::WayUpEncoded,
];

fn one_or(wanted: &[&'static str], all: &[&'static str], random: &mut Random) -> &'static str {
    let from = if wanted.is_empty() { all } else { wanted };
    random.pick(from)
}

fn path(rule: &Rule, fits: bool, random: &mut Random) -> Vec<&'static str> {
    if !fits || rule.paths.is_empty() {
        let depth = random.below(5);
        return (0..depth).map(|_| random.pick(&SEGMENTS)).collect();
    }
    let pattern = random.one_of(&rule.paths).segments();
    let mut segments = Vec::new();
    for part in pattern {
        match part {
            "*" => segments.push(random.pick(&SEGMENTS)),
            "**" => {
                for _ in 0..random.below(3) {
                    segments.push(random.pick(&SEGMENTS));
                }
            }
            segment => segments.push(segment),
        }
    }
    segments
}

/// Whether the two are the same once `**` stands for nothing.
fn is_all_but_stars(path: &Path, segments: &[&str]) -> bool {
    let pattern = path.segments();
    let parts: Vec<_> = pattern.iter().filter(|part| **part != "**").collect();
    parts.len() < pattern.len()
        && parts.len() == segments.len()
        && parts
            .iter()
            .zip(segments)
            .all(|(part, segment)| **part == "*" || *part == segment)
}

fn host(rule: &Rule, fits: bool, random: &mut Random) -> String {
    let wanted = if fits && !rule.hosts.is_empty() {
        random.pick(&rule.hosts)
    } else {
        ""
    };
    let host = match wanted {
        "*.test" => "other.test",
        "*.shop.test" => "eu.shop.test",
        "" => random.pick(&["api.test", "shop.test", "eu.shop.test", "other.test"]),
        host => host,
    };
    host.to_owned()
}

fn caller(rule: &Rule, fits: bool, random: &mut Random) -> Caller {
    const ALL: [Caller; 5] = [
        Caller::Nobody,
        Caller::Alice,
        Caller::Bob,
        Caller::Carol,
        Caller::Impostor,
    ];
    let wanted = match &rule.who {
        _ if !fits => None,
        Who::Anybody | Who::Known => None,
        Who::Roles(roles) => Some(match random.pick(roles) {
            "reader" => Caller::Alice,
            "writer" => Caller::Bob,
            _ => Caller::Carol,
        }),
        Who::Subjects(subjects) => Some(match random.pick(subjects) {
            "alice" => Caller::Alice,
            "bob" => Caller::Bob,
            _ => Caller::Carol,
        }),
    };
    wanted.unwrap_or_else(|| random.pick(&ALL))
}

fn fields(rule: &Rule, fits: bool, random: &mut Random) -> Vec<(String, &'static str)> {
    let mut fields = Vec::new();
    for name in HEADERS {
        let is_asked_for = rule.header.as_ref().is_some_and(|test| test.name == name);
        let value = match random.below(if fits && is_asked_for { 2 } else { 5 }) {
            0 | 1 => "gold",
            2 => random.pick(&["gone", "silver", "GOLD", "gold,silver"]),
            _ => continue,
        };
        fields.push((name.to_owned(), value));
    }
    fields
}

fn source(rule: &Rule, fits: bool, random: &mut Random) -> Ipv4Addr {
    let wanted = if fits && !rule.sources.is_empty() {
        random.pick(&rule.sources)
    } else {
        ""
    };
    match wanted {
        "127.0.3.0/24" => Ipv4Addr::new(127, 0, 3, 9),
        "127.0.0.2/32" => Ipv4Addr::new(127, 0, 0, 2),
        _ => random.pick(&ADDRESSES),
    }
}

/// On both sides of the networks that rules name.
pub(crate) const ADDRESSES: [Ipv4Addr; 5] = [
    Ipv4Addr::new(127, 0, 0, 1),
    Ipv4Addr::new(127, 0, 0, 2),
    Ipv4Addr::new(127, 0, 0, 4),
    Ipv4Addr::new(127, 0, 3, 9),
    Ipv4Addr::new(127, 0, 4, 1),
];
