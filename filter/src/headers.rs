//! Headers: what came, what is stripped (always, first), what is set.
//!
//! Names and values are bytes from the network. A value that the filter sets is visible ASCII by
//! construction, so nothing in a token can begin a second header.

use alloc::string::String;
use alloc::vec::Vec;

use crate::config::TokenSource;
use crate::{cookie, path};

pub mod pairs;

/// The request headers as the gateway has them: names in lower case, pseudo-headers among them, every
/// value of a repeated header on its own.
///
/// One buffer holds all names and values, and each entry its places there, so that reading a map takes
/// two allocations, however many headers there are. What is changed is kept in mind: the gateway need
/// be told only that.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    text: Vec<u8>,
    entries: Vec<Entry>,
    removed: Vec<Place>,
    /// The changes are not such that names tell them apart.
    is_rewritten: bool,
}

/// Bytes of the text.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
}

/// Invariant: both places are within the text, and the name's is UTF-8.
#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Place,
    value: Place,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Added,
    AsItCame,
    Replaced,
}

/// One difference between the headers that came and those that go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// There is no header of this name any more.
    Removed(&'a str),
    /// The header of this name, which is there once, has another value.
    Replaced(&'a str, &'a [u8]),
    /// A header whose name was not there, or was removed.
    Added(&'a str, &'a [u8]),
}

/// Which entries there are, however they came.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Headers {
    /// The entries of a map, in order.
    #[must_use]
    pub fn new(entries: Vec<(String, Vec<u8>)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in entries {
            headers.push(name.as_bytes(), &value, State::AsItCame);
        }
        headers
    }

    /// Reads a map in the form in which the host hands it over: how many entries, then the lengths of
    /// each one's name and value, then each name and value with a zero byte after it; numbers have 32
    /// bits, the low byte first. Nothing when it has not this form.
    #[must_use]
    pub fn read(map: Vec<u8>) -> Option<Self> {
        if map.is_empty() {
            return Some(Self::default());
        }
        let number = |at: usize| {
            let bytes = map.get(at..at.checked_add(4)?)?;
            usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
        };
        let count = number(0)?;
        let mut at = count.checked_mul(8)?.checked_add(4)?;
        if at > map.len() {
            return None;
        }
        let place = |start: usize, length: usize| {
            let end = start.checked_add(length)?;
            (map.get(end) == Some(&0)).then_some(Place { start, end })
        };
        // Room for what is added later.
        let mut entries = Vec::with_capacity(count + 8);
        for index in 0..count {
            let name = place(at, number(4 + index * 8)?)?;
            let value = place(name.end + 1, number(8 + index * 8)?)?;
            core::str::from_utf8(map.get(name.start..name.end)?).ok()?;
            at = value.end + 1;
            entries.push(Entry {
                name,
                value,
                state: State::AsItCame,
            });
        }
        (at == map.len()).then_some(Self {
            text: map,
            entries,
            ..Self::default()
        })
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries
            .iter()
            .map(|entry| (self.name(entry.name), self.bytes(entry.value)))
    }

    /// Every value of the header `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.entries
            .iter()
            .filter(move |entry| self.is_named(entry, name))
            .map(|entry| self.bytes(entry.value))
    }

    /// The value of a header that is there exactly once.
    #[must_use]
    pub fn only<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Puts one value in place of all that a header has.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set_bytes(name, value.as_bytes());
    }

    /// The same for a value that holds bytes of the request, such as its query.
    pub fn set_bytes(&mut self, name: &str, value: &[u8]) {
        let mut same = (0..self.entries.len())
            .filter(|index| {
                let entry = self.entries.get(*index);
                entry.is_some_and(|entry| self.is_named(entry, name))
            })
            .collect::<Vec<_>>()
            .into_iter();
        let Some(first) = same.next() else {
            self.add(name, value);
            return;
        };
        let value = self.append(value);
        // In its place: pseudo-headers stay before the others.
        if let Some(entry) = self.entries.get_mut(first) {
            entry.value = value;
            if entry.state == State::AsItCame {
                entry.state = State::Replaced;
            }
        }
        for repeated in same.rev() {
            self.entries.remove(repeated);
            self.is_rewritten = true;
        }
    }

    /// Adds a header whose name is not there.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.push(name.as_bytes(), value, State::Added);
    }

    /// What is to be done to the map that was read, in this order, so that it becomes this one. Nothing
    /// when only writing the whole map does it.
    #[must_use]
    pub fn changes(&self) -> Option<impl Iterator<Item = Change<'_>>> {
        let removed = self
            .removed
            .iter()
            .map(|name| Change::Removed(self.name(*name)));
        let written = self.entries.iter().filter_map(|entry| {
            let (name, value) = (self.name(entry.name), self.bytes(entry.value));
            match entry.state {
                State::Added => Some(Change::Added(name, value)),
                State::AsItCame => None,
                State::Replaced => Some(Change::Replaced(name, value)),
            }
        });
        (!self.is_rewritten).then(|| removed.chain(written))
    }

    /// Puts what `rewritten` gives in place of each value of a header; an empty one goes away.
    fn rewrite(&mut self, name: &str, rewritten: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        let mut entries = core::mem::take(&mut self.entries);
        entries.retain_mut(|entry| {
            if self.is_named(entry, name)
                && let Some(new) = rewritten(self.bytes(entry.value))
            {
                self.is_rewritten = true;
                entry.value = self.append(&new);
                return !new.is_empty();
            }
            true
        });
        self.entries = entries;
    }

    /// Removes every header whose name is meant. True when there were some.
    fn remove(&mut self, is_removed: impl Fn(&[u8]) -> bool) -> bool {
        let Self {
            text,
            entries,
            removed,
            ..
        } = self;
        let before = entries.len();
        entries.retain(|entry| {
            let is_removed = is_removed(
                text.get(entry.name.start..entry.name.end)
                    .unwrap_or_default(),
            );
            if is_removed && entry.state != State::Added {
                removed.push(entry.name);
            }
            !is_removed
        });
        entries.len() != before
    }

    fn push(&mut self, name: &[u8], value: &[u8], state: State) {
        let (name, value) = (self.append(name), self.append(value));
        self.entries.push(Entry { name, value, state });
    }

    fn append(&mut self, bytes: &[u8]) -> Place {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        let end = self.text.len();
        Place { start, end }
    }

    fn is_named(&self, entry: &Entry, name: &str) -> bool {
        let place = entry.name;
        place.end - place.start == name.len()
            && self.bytes(place).eq_ignore_ascii_case(name.as_bytes())
    }

    fn bytes(&self, place: Place) -> &[u8] {
        self.text.get(place.start..place.end).unwrap_or_default()
    }

    fn name(&self, place: Place) -> &str {
        core::str::from_utf8(self.bytes(place)).unwrap_or_default()
    }
}

/// Which headers tell a workload who is calling, and which hold credentials.
#[derive(Debug, Clone)]
pub struct IdentityHeaders {
    prefix: String,
    /// Other names that are stripped as if they had the prefix.
    unsigned: Vec<&'static str>,
    names: Names,
    removed: Vec<String>,
    removed_cookies: Vec<String>,
}

/// The names of the headers that the filter sets.
#[derive(Debug, Clone)]
pub struct Names {
    /// Of the decision id.
    pub decision: String,
    /// Of the request's namespace.
    pub namespace: String,
    /// Of the provider's name.
    pub provider: String,
    /// Of the caller's roles.
    pub roles: String,
    /// Of issuer and `sub`.
    pub subject: String,
    /// Of the workload identity.
    pub workload: String,
}

impl Names {
    fn new(prefix: &str) -> Self {
        let name = |end: &str| [prefix, end].concat();
        Self {
            decision: name("decision"),
            namespace: name("namespace"),
            provider: name("provider"),
            roles: name("roles"),
            subject: name("subject"),
            workload: name("workload"),
        }
    }
}

impl IdentityHeaders {
    /// Whether the configuration may have a header of this name set: it is stripped from what clients send, and
    /// is none of those that the filter sets by itself.
    #[must_use]
    pub fn is_free(&self, name: &str) -> bool {
        let Names {
            decision,
            namespace,
            provider,
            roles,
            subject,
            workload,
        } = &self.names;
        let own = [decision, namespace, provider, roles, subject, workload];
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        name.len() > self.prefix.len()
            && name.len() <= 64
            && name.starts_with(&self.prefix)
            && name.bytes().all(is_allowed)
            && own.into_iter().all(|taken| taken != name)
    }

    /// Headers with this prefix; nothing when it is no prefix that can be stripped safely.
    #[must_use]
    pub fn new(prefix: &str) -> Option<Self> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_usable = (5..=32).contains(&prefix.len())
            && prefix.starts_with("x-")
            && prefix.ends_with('-')
            && !prefix.contains("--")
            && prefix.bytes().all(is_allowed)
            && !GATEWAY_HEADERS
                .iter()
                .any(|name| name.starts_with(prefix) || prefix.starts_with(name));
        is_usable.then(|| Self {
            prefix: prefix.into(),
            unsigned: Vec::new(),
            names: Names::new(prefix),
            removed: Vec::new(),
            removed_cookies: Vec::new(),
        })
    }

    /// The same, stripping these too: they say who is calling, and nobody has signed them.
    #[must_use]
    pub fn distrusting(mut self, names: impl Iterator<Item = &'static str>) -> Self {
        self.unsigned.extend(names);
        self
    }

    /// The same, removing the credentials of these sources before a request goes on.
    #[must_use]
    pub fn removing(mut self, sources: Vec<TokenSource>) -> Self {
        for source in sources {
            match source {
                TokenSource::Cookie { name } => self.removed_cookies.push(name),
                TokenSource::Header { name, .. } => self.removed.push(name),
            }
        }
        self
    }

    /// Whether only the filter may set the header `name`. `_` counts as `-`: many servers hand both to
    /// the application under one name.
    #[must_use]
    pub fn is_identity(&self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        let same = |byte: u8| {
            if byte == b'_' {
                b'-'
            } else {
                byte.to_ascii_lowercase()
            }
        };
        let is = |wanted: &str, name: &[u8]| {
            wanted.len() == name.len() && name.iter().map(|byte| same(*byte)).eq(wanted.bytes())
        };
        is(CONNECTION_ID, name)
            || self.unsigned.iter().any(|unsigned| is(unsigned, name))
            || name
                .get(..self.prefix.len())
                .is_some_and(|front| is(&self.prefix, front))
    }

    /// Removes every header that only the filter may set. True when there were some.
    pub fn strip(&self, headers: &mut Headers) -> bool {
        headers.remove(|name| self.is_identity(name))
    }

    /// Removes the headers and cookies that hold credentials, where they are not to be forwarded.
    pub fn remove_credentials(&self, headers: &mut Headers) {
        if !self.removed_cookies.is_empty() {
            headers.rewrite("cookie", |value| {
                cookie::without(value, &self.removed_cookies)
            });
        }
        let _any = headers.remove(|name| {
            self.removed
                .iter()
                .any(|removed| name.eq_ignore_ascii_case(removed.as_bytes()))
        });
    }

    /// The names of the headers that the filter sets.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }
}

/// The header with the front's connection id.
pub const CONNECTION_ID: &str = "x-connection-id";

/// Prefixes and names that the gateway and the front use themselves.
const GATEWAY_HEADERS: [&str; 6] = [
    "x-envoy-",
    "x-forwarded-",
    "x-istio-",
    "x-request-id",
    "x-b3-",
    "x-connection-id",
];

/// Whether `name` can be the name of a header (RFC 9110 section 5.1), in lower case.
#[must_use]
pub fn is_header_name(name: &str) -> bool {
    let is_allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    (1..=64).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// `text` in visible ASCII: every other byte, and `%` and `,`, as `%` and two hexadecimal digits. A
/// comma would look like two values.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            value.push(char::from(byte));
        } else {
            value.push('%');
            for digit in [byte >> 4, byte & 15] {
                value.push(char::from(path::upper_digit(digit)));
            }
        }
    }
    value
}

#[cfg(test)]
mod tests;
