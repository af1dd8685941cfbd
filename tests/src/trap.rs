//! The filter's module with a trap: one more function, before the callback for request headers, which
//! ends the VM where a request has more headers than [`MOST_HEADERS`]. All else is the module that the
//! product ships, byte for byte, so what comes before and after the trap is the product's.
//!
//! WebAssembly core specification, section 5.5 (modules).

/// As many headers as a request may have here.
pub const MOST_HEADERS: u8 = 40;

/// The module with the trap; nothing where it is none that has the callback.
#[must_use]
pub fn set_in(module: &[u8]) -> Option<Vec<u8>> {
    let (head, mut rest) = module.split_at_checked(8)?;
    let mut sections = Vec::new();
    while !rest.is_empty() {
        let id = take_byte(&mut rest)?;
        let length = take_number(&mut rest)?;
        sections.push((id, take(&mut rest, length)?.to_vec()));
    }
    let content = |id| {
        let found = sections.iter().find(|(known, _content)| *known == id);
        found.map(|(_id, content)| content.as_slice())
    };
    let imported = take_number(&mut content(IMPORTS)?)?;
    let (types, callback) = (types_of(content(FUNCTIONS)?)?, callback(content(EXPORTS)?)?);
    let added = imported + types.len();
    let kind = *types.get(callback.index.checked_sub(imported)?)?;
    for (id, content) in &mut sections {
        match *id {
            FUNCTIONS => append(content, &number(kind))?,
            EXPORTS => {
                content.splice(callback.place.clone(), number(added));
            }
            CODE => append(content, &body(callback.index))?,
            _other => {}
        }
    }
    let mut out = head.to_vec();
    for (id, content) in sections {
        out.push(id);
        out.extend(number(content.len()));
        out.extend(content);
    }
    Some(out)
}

/// An exported function, and where its index stands in the section.
struct Callback {
    index: usize,
    place: std::ops::Range<usize>,
}

fn callback(exports: &[u8]) -> Option<Callback> {
    let mut rest = exports;
    for _export in 0..take_number(&mut rest)? {
        let length = take_number(&mut rest)?;
        let name = take(&mut rest, length)?;
        let _kind = take_byte(&mut rest)?;
        let start = exports.len() - rest.len();
        let index = take_number(&mut rest)?;
        if name == b"proxy_on_request_headers" {
            let place = start..exports.len() - rest.len();
            return Some(Callback { index, place });
        }
    }
    None
}

/// The index of each function's type. All imports of the module are functions
/// (`scripts/lib/wasm-module.py` checks it), so they are all that comes before.
fn types_of(functions: &[u8]) -> Option<Vec<usize>> {
    let mut rest = functions;
    let count = take_number(&mut rest)?;
    (0..count).map(|_function| take_number(&mut rest)).collect()
}

/// One element more in a vector (section 5.1.3).
fn append(content: &mut Vec<u8>, element: &[u8]) -> Option<()> {
    let mut rest = content.as_slice();
    let count = take_number(&mut rest)?;
    let mut grown = number(count + 1);
    grown.extend(rest);
    grown.extend(element);
    *content = grown;
    Some(())
}

/// Of the callback's type: context, number of headers, end of stream.
fn body(callback: usize) -> Vec<u8> {
    let mut code = vec![NO_LOCALS, LOCAL_GET, 1, I32_CONST, MOST_HEADERS, I32_GT_S];
    code.extend([IF, NO_RESULT, UNREACHABLE, END]);
    code.extend([LOCAL_GET, 0, LOCAL_GET, 1, LOCAL_GET, 2, CALL]);
    code.extend(number(callback));
    code.push(END);
    let mut sized = number(code.len());
    sized.extend(code);
    sized
}

fn take<'rest>(rest: &mut &'rest [u8], length: usize) -> Option<&'rest [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (byte, left) = rest.split_first()?;
    *rest = left;
    Some(*byte)
}

/// LEB128 (section 5.2.2).
fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take_byte(rest)?;
        value |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte < 0x80 {
            return Some(value);
        }
    }
}

fn number(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let [low, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

const IMPORTS: u8 = 2;
const FUNCTIONS: u8 = 3;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

const UNREACHABLE: u8 = 0x00;
const IF: u8 = 0x04;
const END: u8 = 0x0b;
const CALL: u8 = 0x10;
const LOCAL_GET: u8 = 0x20;
const I32_CONST: u8 = 0x41;
const I32_GT_S: u8 = 0x4a;
const NO_RESULT: u8 = 0x40;
const NO_LOCALS: u8 = 0;
