//! A deterministic stream of bytes, as long as wanted, and its SHA-256: both ends of a transfer can
//! tell, without keeping it, whether everything arrived, once and in order.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use aws_lc_rs::digest::{self, SHA256};
use hyper::body::{Body, Bytes, Frame, SizeHint};

/// The bytes not yet handed out.
#[derive(Debug)]
pub struct Pattern {
    block: u64,
    left: u64,
}

impl Pattern {
    /// The first `length` bytes of the pattern.
    #[must_use]
    pub fn of(length: u64) -> Self {
        Self {
            block: 0,
            left: length,
        }
    }

    /// The SHA-256 of the whole stream, in hex.
    #[must_use]
    pub fn sha256(self) -> String {
        let mut sum = Sum::default();
        self.for_each(|block| sum.add(&block));
        sum.hex()
    }
}

impl Iterator for Pattern {
    type Item = Bytes;

    /// A block carries its own number, so a lost, doubled or swapped block changes the sum.
    fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let length = usize::try_from(self.left).map_or(BLOCK, |left| left.min(BLOCK));
        let mut block = self
            .block
            .to_be_bytes()
            .repeat(length.div_ceil(size_of::<u64>()));
        block.truncate(length);
        self.block += 1;
        self.left -= length as u64;
        Some(block.into())
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|block| Ok(Frame::data(block))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A SHA-256 over bytes that come piece by piece.
pub struct Sum {
    context: digest::Context,
    length: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            context: digest::Context::new(&SHA256),
            length: 0,
        }
    }
}

impl std::fmt::Debug for Sum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sum")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Sum {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// How many bytes were added.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The sum in hex.
    #[must_use]
    pub fn hex(self) -> String {
        self.context
            .finish()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// One HTTP data frame's worth.
const BLOCK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_met_and_every_block_differs() {
        let cases = [
            ("empty", 0, 0),
            ("one byte", 1, 1),
            ("a block and a byte", 65_537, 2),
        ];
        for (name, length, blocks) in cases {
            let got: Vec<Bytes> = Pattern::of(length).collect();
            assert_eq!(got.len(), blocks, "{name}");
            assert_eq!(
                got.iter().map(|block| block.len() as u64).sum::<u64>(),
                length,
                "{name}"
            );
        }
        let blocks: Vec<Bytes> = Pattern::of(3 * 65_536).collect();
        assert_ne!(blocks[0], blocks[1]);
        assert_ne!(blocks[1], blocks[2]);
    }
}
