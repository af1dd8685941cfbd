//! The process's own log, on standard error: one line at a time. A line that cannot be written is lost
//! and counted; it neither stops what wanted to say it nor spoils the line after it.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::AtomicU64;
use std::sync::{LazyLock, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use tracing::Level;

/// Lines of all threads: there is one standard error.
static LINES: LazyLock<Lines> = LazyLock::new(Lines::default);

/// From now on, what is logged goes to standard error.
pub fn log_to_stderr(most: Level) {
    tracing_subscriber::fmt()
        .with_max_level(most)
        .with_writer(|| Writer {
            lines: &LINES,
            out: io::stderr(),
        })
        .init();
}

/// How many lines could not be written whole.
pub(crate) fn lost() -> Counter<u64, AtomicU64> {
    LINES.lost.clone()
}

#[derive(Debug, Default)]
struct Lines {
    /// Whether the last that was written is the beginning of a line.
    is_cut: Mutex<bool>,
    lost: Counter<u64, AtomicU64>,
}

struct Writer<'a, W> {
    lines: &'a Lines,
    out: W,
}

impl<W: Write> Write for Writer<'_, W> {
    /// Takes a whole line, as tracing hands it over, and never fails: tracing would panic over that
    /// where standard error is full.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_cut = &self.lines.is_cut;
        let mut is_cut = is_cut.lock().unwrap_or_else(PoisonError::into_inner);
        let ended;
        let bytes = if *is_cut {
            ended = [b"\n".as_slice(), line].concat();
            ended.as_slice()
        } else {
            line
        };
        let written = write_most(&mut self.out, bytes);
        if let Some(last) = written.checked_sub(1).and_then(|last| bytes.get(last)) {
            *is_cut = *last != b'\n';
        }
        if written < bytes.len() {
            self.lines.lost.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As much as can be written; how much that is.
fn write_most(out: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_full) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes no more than there is room for.
    struct Disk<'a> {
        room: usize,
        holds: &'a mut Vec<u8>,
    }

    impl Write for Disk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.holds.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn wherever_a_disk_is_full_the_next_line_stands_alone() {
        for room in 0..=6 {
            let (lines, mut holds) = (Lines::default(), Vec::new());
            let mut say = |line: &[u8], room| {
                let out = Disk {
                    room,
                    holds: &mut holds,
                };
                let lines = &lines;
                let said = Writer { lines, out }.write(line);
                assert_eq!(said.unwrap(), line.len());
            };
            say(b"first\n", room);
            say(b"second\n", 0);
            say(b"third\n", 100);
            let text = String::from_utf8(holds).unwrap();
            assert_eq!(text.lines().last(), Some("third"), "{room}: {text}");
            let lost = if room == 6 { 1 } else { 2 };
            assert_eq!(lines.lost.get(), lost, "{room}");
        }
    }
}
