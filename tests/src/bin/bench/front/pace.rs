//! Small requests on kept connections: one after the other, or at a rate that does not wait for the answers.

use std::{io, thread, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::load::{Stream, ask};

/// How long answers took, counted from the moment at which each request was due.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// The latency that so many of a thousand requests did not exceed, in microseconds.
    pub(crate) fn per_mille(&self, share: usize) -> f64 {
        let at = (self.0.len() * share).div_ceil(1000).saturating_sub(1);
        let found = self.0.get(at);
        found.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }
}

/// So many requests on each connection, each as soon as the one before is answered.
pub(crate) async fn closed_loop(streams: Vec<Stream>, each: u32) -> io::Result<Vec<Stream>> {
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        tasks.spawn(async move {
            for _ in 0..each {
                ask(&mut stream).await?;
            }
            Ok::<_, io::Error>(stream)
        });
    }
    let mut streams = Vec::new();
    while let Some(done) = tasks.join_next().await {
        streams.push(done.map_err(io::Error::other)??);
    }
    Ok(streams)
}

/// `count` requests, `per_second` of them each second, in turns on the connections. One that is due while its
/// connection still waits for an answer is sent late, and its latency shows that.
pub(crate) async fn open_loop(
    streams: Vec<Stream>,
    count: u32,
    per_second: u32,
) -> io::Result<(Vec<Stream>, Latencies)> {
    let mut tasks = JoinSet::new();
    let mut queues = Vec::new();
    for mut stream in streams {
        let (queue, mut due) = mpsc::unbounded_channel();
        queues.push(queue);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while let Some(at) = due.recv().await {
                ask(&mut stream).await?;
                latencies.push(Instant::now().saturating_duration_since(at));
            }
            Ok::<_, io::Error>((stream, latencies))
        });
    }
    // The runtime's timers count in milliseconds, a thread's sleep does not.
    let pacer = thread::spawn(move || {
        let start = Instant::now();
        let turns = queues.iter().cycle();
        for (number, queue) in (0..count).zip(turns) {
            let at = start + Duration::from_secs(1) * number / per_second;
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if queue.send(at).is_err() {
                // Its connection has failed, and says so below.
                break;
            }
        }
    });
    let (mut streams, mut all) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (stream, latencies) = done.map_err(io::Error::other)??;
        streams.push(stream);
        all.extend(latencies);
    }
    pacer
        .join()
        .map_err(|_panic| io::Error::other("the pacer failed"))?;
    all.sort_unstable();
    Ok((streams, Latencies(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_nearest_rank() {
        let latencies = Latencies((1..=200).map(Duration::from_micros).collect());
        for (share, want) in [(500, 100.0), (990, 198.0), (1000, 200.0), (1, 1.0)] {
            assert_eq!(latencies.per_mille(share), want, "{share}");
        }
        assert!(Latencies(Vec::new()).per_mille(500).is_nan());
    }
}
