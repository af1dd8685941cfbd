//! A request as the workload saw it.

use serde_json::Value;

use super::{Mismatch, expect};
use crate::http::Reply;

/// What the workload answered: the request that reached it.
#[derive(Debug)]
pub struct Mirror {
    seen: Value,
}

impl Mirror {
    /// Reads a workload's answer.
    #[must_use]
    pub fn of(reply: &Reply) -> Self {
        Self { seen: reply.json() }
    }

    /// The namespace of the workload that answered.
    #[must_use]
    pub fn workload(&self) -> &str {
        self.seen["workload"].as_str().unwrap_or_default()
    }

    /// Every value of this header, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields()
            .filter(|(field, _)| *field == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// The only value of this header.
    ///
    /// # Errors
    /// [`Mismatch`] if there is none, or more than one.
    pub fn value(&self, name: &str) -> Result<&str, Mismatch> {
        let values = self.values(name);
        expect(
            &format!("the number of {name} headers at the workload"),
            values.len(),
            1,
        )?;
        Ok(values.first().copied().unwrap_or_default())
    }

    /// Every header, as name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.seen["headers"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        fields
            .iter()
            .filter_map(|field| field.as_str()?.split_once(": "))
    }
}
