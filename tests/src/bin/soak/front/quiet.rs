//! What is left when all senders have gone: connections, files, processes, lines of the logs.

use std::{collections::BTreeMap, fs, time::Duration};

use e2e::{deadline::eventually, error::HarnessError, front::Front};
use tokio::time::sleep;

use super::stage::Stage;

/// What was seen after the last sender had gone.
#[derive(Debug)]
pub(crate) struct Quiet {
    pub(crate) files_before: usize,
    pub(crate) files_after: usize,
    pub(crate) problems: Vec<String>,
    /// Lines of level error, and panics.
    pub(crate) log: Vec<String>,
    /// How often connections ended in which way.
    pub(crate) ends: Vec<(String, u64)>,
    /// Of the access log.
    pub(crate) lost_lines: u64,
}

impl Quiet {
    /// Looks when all senders have gone.
    pub(crate) async fn after(stage: &mut Stage) -> Result<Self, HarnessError> {
        let mut problems = Vec::new();
        for listener in ["public", "proxied", "through"] {
            let gauge =
                format!("l4_front_downstream_connections_active{{listener=\"{listener}\"}}");
            let ended = eventually("", LIMIT, async || {
                stage
                    .front
                    .metric(&gauge)
                    .await
                    .is_ok_and(|open| open == 0)
                    .then_some(())
            });
            if ended.await.is_err() {
                let open = stage.front.metric(&gauge).await?;
                problems.push(format!("{listener}: {open} connections are still open"));
            }
        }
        let ended = match &mut stage.before {
            Some(front) => Some(front.process().ended(LIMIT).await?),
            None => None,
        };
        if !ended.is_some_and(|status| status.success()) {
            problems.push(format!("the front that was replaced ended so: {ended:?}"));
        }
        let files = open_files(&stage.front).await;
        let kinds = kinds(stage.front.process_id());
        let pipes = kinds.get(PIPE).copied().unwrap_or_default();
        if files > stage.files_at_rest + SUCCESSORS_FILES || pipes > POOLED {
            let before = stage.files_at_rest;
            problems.push(format!(
                "{files} files and {pipes} ends of pipes are open at rest, {before} files were before: {kinds:?}"
            ));
        }
        let mut log = Vec::new();
        for file in ["front.log", "successor.log"] {
            let text = fs::read_to_string(stage.folder.file(file)).unwrap_or_default();
            let is_bad = |line: &&str| ["ERROR", "panicked"].iter().any(|word| line.contains(word));
            log.extend(
                text.lines()
                    .filter(is_bad)
                    .map(|line| format!("{file}: {line}")),
            );
        }
        let page = stage.front.page("/metrics").await?;
        Ok(Self {
            files_before: stage.files_at_rest,
            files_after: files,
            problems,
            log,
            ends: ends(&page),
            lost_lines: stage
                .front
                .metric("l4_front_access_log_lines_lost_total")
                .await?,
        })
    }
}

/// How many files but pipes are open when the harness asks for nothing: the least of some looks, since the admin port may
/// not have closed its last connection yet.
pub(crate) async fn open_files(front: &Front) -> usize {
    let mut least = usize::MAX;
    for _look in 0..20 {
        let kinds = kinds(front.process_id()).into_iter();
        least = least.min(
            kinds
                .filter(|(kind, _)| kind != PIPE)
                .map(|(_, count)| count)
                .sum(),
        );
        sleep(Duration::from_millis(25)).await;
    }
    least
}

/// What the open files of a process are, and how many of each.
fn kinds(process: u32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for file in fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let target = fs::read_link(file.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        let kind = target.split(":[").next().unwrap_or_default();
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    kinds
}

/// Of all listeners together, from the metrics page.
fn ends(page: &str) -> Vec<(String, u64)> {
    let mut ends = BTreeMap::new();
    for line in page.lines() {
        let Some(rest) = line.strip_prefix("l4_front_downstream_connections_ended_total{") else {
            continue;
        };
        let kind = rest
            .split("termination=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let count = rest.rsplit(' ').next().and_then(|count| count.parse().ok());
        if let (Some(kind), Some(count)) = (kind, count) {
            let count: u64 = count;
            *ends.entry(kind.to_owned()).or_default() += count;
        }
    }
    ends.into_iter().collect()
}

const PIPE: &str = "pipe";
/// Ends of pipes that workers keep for splice(2) after use: of the few connections at a time that pass through.
const POOLED: usize = 32;
/// A process that took over holds the same sockets, and may hold some files of its own.
const SUCCESSORS_FILES: usize = 4;
/// For the last connections to end: the slowest honest one takes seconds.
const LIMIT: Duration = Duration::from_secs(60);
