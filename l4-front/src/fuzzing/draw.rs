//! Choices out of a fuzzer's bytes: each takes some from the front. Where none are left, all choices are zero.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The bytes that are left.
pub(super) struct Draw<'a>(pub(super) &'a [u8]);

impl<'a> Draw<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(super) fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most so many.
    pub(super) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Of up to 255 bytes, repeated up to 32 times: length is what headers are made too large by.
    pub(super) fn text(&mut self) -> String {
        let (length, times) = (self.byte(), self.byte() % 33);
        let bytes = self.bytes(length.into());
        String::from_utf8_lossy(bytes).repeat(times.into())
    }

    pub(super) fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| draw(self))
    }

    pub(super) fn address(&mut self) -> SocketAddr {
        let (v6, port) = (self.yes(), self.number());
        let mut octets = [0; 16];
        let written = self.bytes(if v6 { 16 } else { 4 });
        for (octet, byte) in octets.iter_mut().zip(written) {
            *octet = *byte;
        }
        let [a, b, c, d, ..] = octets;
        let ip: IpAddr = if v6 {
            Ipv6Addr::from(octets).into()
        } else {
            Ipv4Addr::new(a, b, c, d).into()
        };
        (ip, port).into()
    }
}
