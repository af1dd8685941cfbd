#!/usr/bin/env python3
"""Copies a Wasm module, checks its imports and keeps only the exports that the gateway needs.

usage: wasm-module.py INPUT OUTPUT

The gateway calls every proxy_on_* function that a module exports, and the SDK exports them all: each one that does
nothing still costs a call into the VM. Only the export section is rewritten; the code stays as it was built.
"""

import os
import sys

IMPORTS = {"env", "wasi_snapshot_preview1"}
CALLBACKS = {
    "proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure", "proxy_on_tick",
    "proxy_on_delete", "proxy_on_http_call_response", "proxy_on_request_headers", "proxy_on_request_trailers",
    "proxy_on_memory_allocate",
}
IMPORT_SECTION, EXPORT_SECTION = 2, 7


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, count):
        if self.at + count > len(self.data):
            sys.exit("wasm-module: the module ends in the middle of a section")
        self.at += count
        return self.data[self.at - count:self.at]

    def byte(self):
        return self.bytes(1)[0]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def name(self):
        return self.bytes(self.number()).decode()

    def done(self):
        return self.at == len(self.data)


def number(value):
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def limits(reader):
    if reader.byte() & 1:
        reader.number()
    reader.number()


def imports(section):
    """The (module, name) pairs of an import section."""
    reader, found = Reader(section), []
    for _ in range(reader.number()):
        found.append((reader.name(), reader.name()))
        kind = reader.byte()
        if kind == 0:
            reader.number()
        elif kind == 1:
            reader.byte()
            limits(reader)
        elif kind == 2:
            limits(reader)
        elif kind == 3:
            reader.bytes(2)
        else:
            sys.exit(f"wasm-module: import of unknown kind {kind}")
    return found


def is_kept(name):
    return not name.startswith("proxy_on_") or name in CALLBACKS


def exports(section):
    """The section without the callbacks that do nothing, and their names."""
    reader, kept, dropped = Reader(section), [], []
    for _ in range(reader.number()):
        start = reader.at
        name = reader.name()
        reader.byte()
        reader.number()
        if is_kept(name):
            kept.append(section[start:reader.at])
        else:
            dropped.append(name)
    return number(len(kept)) + b"".join(kept), dropped


def main():
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        module = file.read()
    if module[:8] != b"\0asm\1\0\0\0":
        sys.exit(f"wasm-module: {sys.argv[1]} is no Wasm module of version 1")
    reader, out, dropped, needed = Reader(module), bytearray(module[:8]), [], []
    reader.at = 8
    while not reader.done():
        kind = reader.byte()
        section = reader.bytes(reader.number())
        if kind == IMPORT_SECTION:
            needed = imports(section)
        elif kind == EXPORT_SECTION:
            section, dropped = exports(section)
        out += bytes([kind]) + number(len(section)) + section
    refused = sorted(f"{module}.{name}" for module, name in needed if module not in IMPORTS)
    if refused:
        sys.exit(f"wasm-module: the gateway does not have: {', '.join(refused)}")
    # In one step: somebody may be loading the old module.
    with open(sys.argv[2] + ".new", "wb") as file:
        file.write(out)
    os.replace(sys.argv[2] + ".new", sys.argv[2])
    print(f"wasm-module: {sys.argv[2]}: {len(out)} bytes, {len(needed)} imports from {' and '.join(sorted(IMPORTS))}, "
          f"{len(dropped)} unused callbacks taken out")


if __name__ == "__main__":
    main()
