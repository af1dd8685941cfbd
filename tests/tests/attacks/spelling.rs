//! Paths made up from every known trick: each means a denied path to somebody.
//!
//! They come from a seed: `ATTACKS_SEED` chooses others.

use e2e::random::{self, Random};

/// The spellings of a run.
pub(crate) fn made_up() -> Vec<Vec<u8>> {
    let mut random = Random::new(seed());
    std::iter::repeat_with(|| spelling(&mut random))
        .take(SPELLINGS)
        .collect()
}

/// What they are made from.
pub(crate) fn seed() -> u64 {
    random::variable("ATTACKS_SEED").unwrap_or(SEED)
}

/// A denied path behind detours, each segment spelled in some way, joined by what may be a slash.
fn spelling(random: &mut Random) -> Vec<u8> {
    let mut path = often(random, b"", START).to_vec();
    for _ in 0..random.below(3) {
        path.extend(often(random, b"/", SLASHES));
        if random.below(5) == 0 {
            path.extend(random.pick(NOWHERE));
        } else {
            // Down and up again.
            path.extend(random.pick(DOWN));
            path.extend(often(random, b"/", SLASHES));
            path.extend(often(random, b"..", UPS));
        }
    }
    for segment in random.pick(DENIED) {
        path.extend(often(random, b"/", SLASHES));
        for letter in segment.bytes() {
            path.extend(spelled(random, letter));
        }
    }
    path.extend(often(random, b"", ENDS));
    path
}

/// Most letters are as they are.
fn spelled(random: &mut Random, letter: u8) -> Vec<u8> {
    match random.below(30) {
        0 | 1 => format!("%{letter:02x}").into_bytes(),
        2 => format!("%{letter:02X}").into_bytes(),
        3 => format!("%25{letter:02x}").into_bytes(),
        4 => vec![letter.to_ascii_uppercase()],
        _ => vec![letter],
    }
}

/// The plain one two times out of three, else one of the others.
fn often(random: &mut Random, plain: &'static [u8], others: &[&'static [u8]]) -> &'static [u8] {
    if random.below(3) == 0 {
        random.pick(others)
    } else {
        plain
    }
}

const DENIED: &[&[&str]] = &[&["admin", "panel"], &["admin"], &["private", "key"]];
const START: &[&[u8]] = &[
    b"http://open.example.com",
    b"http://OPEN.example.com:80",
    b"https://open.example.com.",
    b"/",
    b"/.",
    b"/..",
    b"/%2e%2e",
    b"/%2f",
    b"/;",
];
const SLASHES: &[&[u8]] = &[
    b"//",
    b"/./",
    b"/%2e/",
    b"%2f",
    b"%2F",
    b"\\",
    b"%5c",
    b"%5C",
    b"/;/",
    b"/.;/",
    b"/;x=y/",
    b"%252f",
    b"%c0%af",
    b"%ef%bc%8f",
    b"/\\",
    b"\\/",
    b"///",
    b"/%00/",
    b"/%20/",
    b"/%09/",
    b"/x/../",
    b"/x/%2e%2e/",
    b"?/",
    b"#/",
    b"%3f/",
    b"%23/",
    b"/%2f/",
    b"/%0a/",
];
const DOWN: &[&[u8]] = &[
    b"public",
    b"x",
    b"p%75blic",
    b"x;y",
    b"admin",
    b"private",
    b"",
    b".",
    b"...",
    b"%20",
    b"x%20y",
    b"\xc3\xa4",
    b"%c3%a4",
    b"a:b@c",
];
const UPS: &[&[u8]] = &[
    b"%2e%2e",
    b"%2E%2E",
    b".%2e",
    b"%2e.",
    b"..;",
    b"..;x",
    b"..%00",
    b"%252e%252e",
    b"..\\",
    b"%c0%ae%c0%ae",
    b"%e0%80%ae%e0%80%ae",
    b"%u002e%u002e",
    b"...",
    b"..%20",
    b"..%09",
    b"%ef%bc%8e%ef%bc%8e",
    b"..?",
    b"..#",
    b"..%23",
    b"..%3f",
    b"..%2f..",
    b"../..",
    b"..//",
];
const NOWHERE: &[&[u8]] = &[b".", b"%2e", b"", b";", b"%20", b".;", b"%00"];
const ENDS: &[&[u8]] = &[
    b"/",
    b"//",
    b"/.",
    b"/%2e",
    b"/x/..",
    b"/..;/x",
    b";",
    b";x",
    b";.css",
    b"%00",
    b"%00.png",
    b"?",
    b"?a=/../b",
    b"#",
    b"#x",
    b"%20",
    b".",
    b"%2e",
    b"..",
    b"%2f",
    b"\\",
    b"%5c",
    b".json",
    b"%0a",
    b"/../admin",
    b"%3f",
    b"%23",
    b"%",
    b"%2",
];

/// Of every run, so that a failure is met again.
const SEED: u64 = 1;
/// Each is sent four times.
const SPELLINGS: usize = 3000;
