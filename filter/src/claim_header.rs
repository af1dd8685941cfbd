//! Headers that the configuration makes of claims, such as the caller's address or its groups.
//!
//! What a claim says is hostile until it stands in its place: every value is escaped so that it begins no other
//! header, looks like no second element, and is read back as what it was. Nothing is cut to fit.

use alloc::borrow::Cow;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::claims::{self, ClaimPath, Claims, Text};
use crate::condition::{Condition, Facts};
use crate::headers::escaped;
use crate::identity::TooLarge;

/// One header for the callers of one provider.
#[derive(Debug, Clone)]
pub struct ClaimHeader {
    /// Its name, which is stripped from what clients send.
    pub name: Rc<str>,
    /// All of them must hold.
    pub when: Vec<Condition>,
    /// What it says.
    pub content: Content,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The elements of a list, sorted, each once, separated by commas.
    List {
        /// Where the list is.
        claim: ClaimPath,
        /// What the claim means when it is a text.
        text_means: Text,
    },
    /// A text with places for claims.
    Text(HeaderTemplate),
}

/// A text with places for claims: `{claim:email}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTemplate {
    /// At least one.
    places: Vec<Place>,
    after: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    before: String,
    claim: ClaimPath,
}

impl ClaimHeader {
    /// The header's value; nothing when a condition does not hold, or a claim is missing or of another type.
    ///
    /// # Errors
    /// A text, or the number of elements, is greater than may be.
    pub fn value(&self, facts: &Facts<'_>) -> Result<Option<String>, TooLarge> {
        let Some(claims) = facts.claims else {
            return Ok(None);
        };
        if !self.when.iter().all(|condition| condition.holds(facts)) {
            return Ok(None);
        }
        match &self.content {
            Content::List { claim, text_means } => match claims.at(claim) {
                Some(value) => list(value, *text_means),
                None => Ok(None),
            },
            Content::Text(template) => template.fill(claims),
        }
    }

    /// The claims that it takes values from.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        let (list, template) = match &self.content {
            Content::List { claim, .. } => (Some(claim), None),
            Content::Text(template) => (None, Some(template)),
        };
        let places = template.into_iter().flat_map(HeaderTemplate::claims);
        list.into_iter().chain(places)
    }
}

impl HeaderTemplate {
    /// Reads a template. Between two places there is a comma: no value holds one, so two different sets of
    /// values can never give the same text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut places = Vec::new();
        let mut left = text;
        loop {
            let (literal, rest) = left.split_at(left.find('{').unwrap_or(left.len()));
            let is_literal = |byte: u8| byte.is_ascii_graphic() && !b"%}".contains(&byte);
            if text.len() > TEMPLATE_LIMIT || !literal.bytes().all(is_literal) {
                return None;
            }
            if rest.is_empty() {
                let after = literal.into();
                return (!places.is_empty()).then_some(Self { places, after });
            }
            if !places.is_empty() && !literal.contains(',') {
                return None;
            }
            let (claim, after) = rest.strip_prefix("{claim:")?.split_once('}')?;
            places.push(Place {
                before: literal.into(),
                claim: ClaimPath::parse(claim)?,
            });
            left = after;
        }
    }

    /// The claims that it takes values from.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.places.iter().map(|place| &place.claim)
    }

    fn fill(&self, claims: &Claims) -> Result<Option<String>, TooLarge> {
        let mut text = String::new();
        for place in &self.places {
            let Some(value) = claims.at(&place.claim).and_then(claims::single) else {
                return Ok(None);
            };
            text.push_str(&place.before);
            text.push_str(&checked(&value)?);
        }
        text.push_str(&self.after);
        Ok(Some(text))
    }
}

/// A list of which one element is no text and no integer is none: nothing is left out of it. One without
/// elements has no header, as the caller's roles have none.
fn list(value: &Value, text_means: Text) -> Result<Option<String>, TooLarge> {
    let mut elements: Vec<Cow<'_, str>> = Vec::new();
    let mut count = 0;
    let mut add = |element| {
        count += 1;
        if let Err(at) = elements.binary_search(&element) {
            elements.insert(at, element);
        }
        if count > ELEMENT_COUNT_LIMIT {
            return Err(TooLarge);
        }
        Ok(())
    };
    if let Value::Array(array) = value {
        for element in array {
            let Some(element) = claims::single(element) else {
                return Ok(None);
            };
            add(element)?;
        }
    } else {
        for element in claims::listed(value, text_means) {
            add(Cow::Borrowed(element))?;
        }
    }
    let mut text = String::new();
    for element in &elements {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&checked(element)?);
    }
    Ok((!elements.is_empty()).then_some(text))
}

fn checked(value: &str) -> Result<String, TooLarge> {
    if value.len() > VALUE_LIMIT {
        return Err(TooLarge);
    }
    Ok(escaped(value))
}

/// Bytes of one claim's value or one element, before they are escaped.
pub const VALUE_LIMIT: usize = 1024;
/// Elements of a list.
pub const ELEMENT_COUNT_LIMIT: usize = 512;
/// Bytes of a template.
const TEMPLATE_LIMIT: usize = 1024;

#[cfg(test)]
mod tests;
