//! What Prometheus reads, and what the page and the dashboard say about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ground::page;

/// The filter's series: metric, labels, value.
#[derive(Debug)]
pub(crate) struct Series(Vec<(String, BTreeMap<String, String>, f64)>);

impl Series {
    /// Reads Prometheus' text format.
    pub(crate) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, rest) = line.split_once('{')?;
            let (labels, value) = rest.rsplit_once('}')?;
            let pairs = labels.split(',').filter_map(|label| label.split_once('='));
            let labels =
                pairs.map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned()));
            let is_ours = name.starts_with(PREFIX);
            is_ours.then_some((
                name.to_owned(),
                labels.collect(),
                value.trim().parse().ok()?,
            ))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// The value of the series that is written so: `metric{label=value,...}`, the labels in alphabetical order.
    pub(crate) fn value(&self, wanted: &str) -> Option<f64> {
        let mut found = self.0.iter().filter(|(name, labels, _)| {
            let labels: Vec<_> = labels
                .iter()
                .map(|(label, value)| format!("{label}={value}"))
                .collect();
            name.strip_prefix(PREFIX) == wanted.split('{').next()
                && wanted.ends_with(&format!("{{{}}}", labels.join(",")))
        });
        found.next().map(|(_, _, value)| *value)
    }

    /// Each metric with all of the labels that any series of it has.
    pub(crate) fn metrics(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut metrics: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, labels, _value) in &self.0 {
            let known = metrics.entry(name.clone()).or_default();
            known.extend(labels.keys().cloned());
        }
        metrics
    }
}

/// The same from the table on the page.
pub(crate) fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = page("filter.md");
    let section = page
        .split("\n## What is to be seen\n")
        .nth(1)
        .unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let names = |cell: &str| -> BTreeSet<String> {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect()
    };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| {
        let mut cells = row.split('|').skip(1);
        let (metrics, _kind, labels) = (cells.next()?, cells.next()?, cells.next()?);
        Some(
            names(metrics)
                .into_iter()
                .map(move |metric| (metric, names(labels))),
        )
    })
    .flatten()
    .collect()
}

/// The same as the dashboard's queries ask for it.
pub(crate) fn on_the_dashboard() -> BTreeMap<String, BTreeSet<String>> {
    let dashboard: Value = serde_json::from_str(&page("grafana/sallyport-filter.json"))
        .unwrap_or_else(|error| panic!("the dashboard is no JSON: {error}"));
    let mut asked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap_or_default();
            let grouped = query
                .split("by (")
                .skip(1)
                .filter_map(|rest| rest.split(')').next());
            let grouped: Vec<_> = grouped
                .flat_map(|labels| labels.split(','))
                .map(str::trim)
                .collect();
            for (name, selector) in selectors(query) {
                let labels = asked.entry(name).or_default();
                labels.extend(grouped.iter().map(|label| (*label).to_owned()));
                // `job` is Prometheus' own.
                labels.extend(selector.into_iter().filter(|label| label != "job"));
            }
        }
    }
    asked
}

/// Each metric in a query, with the labels by which it is selected.
fn selectors(query: &str) -> Vec<(String, Vec<String>)> {
    let starts = query.match_indices(PREFIX).map(|(start, _)| start);
    let read = |start: usize| {
        let (name, rest) = query[start..].split_once('{')?;
        let selector = rest.split('}').next()?;
        let labels = selector
            .split(',')
            .filter_map(|test| test.split(['=', '!']).next());
        Some((name.to_owned(), labels.map(str::to_owned).collect()))
    };
    starts.filter_map(read).collect()
}

const PREFIX: &str = "identity_filter_";
