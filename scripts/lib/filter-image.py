#!/usr/bin/env python3
"""Packs the filter's module as an OCI image layout: the image, and what it is made of and how as its referrers.

usage: filter-image.py MODULE SBOM FACTS LAYOUT

FACTS is a JSON file: tag, version, revision, created (seconds since 1970), licenses, title, description, and where
known source; and `build`, the parts of the provenance that only the build knows. The same input gives the same bytes:
nothing here asks for the time, a user or a machine. Prints one JSON object: the manifest and the digests.
"""

import datetime
import hashlib
import io
import json
import os
import struct
import sys
import tarfile
import zlib

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
# Istio's agent takes the last layer, of exactly this type, and in it the file plugin.wasm.
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
SBOM = "application/vnd.cyclonedx+json"
STATEMENT = "application/vnd.in-toto+json"
PREDICATE = "https://slsa.dev/provenance/v1"
STORED_BLOCK = 0xFFFF


class Layout:
    """A folder as the OCI image layout describes it."""

    def __init__(self, path):
        self.path, self.manifests = path, []
        os.makedirs(os.path.join(path, "blobs", "sha256"))
        self.file("oci-layout", encode({"imageLayoutVersion": "1.0.0"}))

    def file(self, name, data):
        with open(os.path.join(self.path, name), "wb") as file:
            file.write(data)

    def blob(self, media_type, data, **more):
        digest = hashlib.sha256(data).hexdigest()
        self.file(os.path.join("blobs", "sha256", digest), data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def manifest(self, manifest, **more):
        descriptor = self.blob(IMAGE_MANIFEST, encode(manifest), **more)
        self.manifests.append(descriptor)
        return descriptor

    def finish(self):
        self.file("index.json", encode({"schemaVersion": 2, "manifests": self.manifests}))


def encode(value):
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def tar(name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), 0o644, 0
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def gzip(data):
    """As RFC 1952 has it, without a time or a name, and stored: no two versions of zlib compress alike, and the digest
    must not depend on the machine's. It is a few hundred KB more, once for a gateway."""
    out = bytearray(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
    for start in range(0, len(data), STORED_BLOCK):
        block = data[start:start + STORED_BLOCK]
        last = start + STORED_BLOCK >= len(data)
        out += struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block
    return bytes(out) + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def annotations(facts):
    known = {
        "created": timestamp(facts), "title": facts["title"], "description": facts["description"],
        "licenses": facts["licenses"], "revision": facts["revision"], "source": facts.get("source"),
        "version": facts["version"],
    }
    return {f"org.opencontainers.image.{name}": value for name, value in known.items() if value}


def timestamp(facts):
    moment = datetime.datetime.fromtimestamp(facts["created"], datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def add_image(layout, module, facts):
    archive = tar("plugin.wasm", module)
    config = {
        "created": timestamp(facts), "architecture": "wasm", "os": "wasip1", "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(archive).hexdigest()]},
        "history": [{"created": timestamp(facts), "created_by": "scripts/publish-filter"}],
    }
    manifest = {
        "schemaVersion": 2, "mediaType": IMAGE_MANIFEST,
        "config": layout.blob(IMAGE_CONFIG, encode(config)),
        "layers": [layout.blob(LAYER, gzip(archive))],
        "annotations": annotations(facts),
    }
    descriptor = layout.manifest(manifest, annotations={"org.opencontainers.image.ref.name": facts["tag"]})
    return manifest, {name: descriptor[name] for name in ("mediaType", "digest", "size")}


def add_referrer(layout, subject, kind, data, facts, **of_layer):
    """OCI image specification 1.1, an artifact with a subject; registries without that API list it under a tag."""
    return layout.manifest({
        "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "artifactType": kind,
        "config": layout.blob(EMPTY, b"{}"),
        "layers": [layout.blob(kind, data, **of_layer)],
        "subject": subject,
        "annotations": {"org.opencontainers.image.created": timestamp(facts)},
    }, artifactType=kind)["digest"]


def provenance(subject, module, facts):
    build = facts["build"]
    commit = {"uri": "git+" + facts.get("source", "unnamed"), "digest": {"gitCommit": facts["revision"]}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "image", "digest": {"sha256": subject["digest"].removeprefix("sha256:")}},
            {"name": "plugin.wasm", "digest": {"sha256": hashlib.sha256(module).hexdigest()}},
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:sallyport:publish-filter:1",
                "externalParameters": {"revision": facts["revision"], "version": facts["version"]},
                "internalParameters": build["parameters"],
                "resolvedDependencies": [commit] + build["materials"],
            },
            "runDetails": {"builder": {"id": build["builder"]}},
        },
    }


def main():
    if len(sys.argv) != 5 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        module = file.read()
    with open(sys.argv[2], "rb") as file:
        sbom = file.read()
    with open(sys.argv[3], encoding="utf-8") as file:
        facts = json.load(file)
    layout = Layout(sys.argv[4])
    manifest, image = add_image(layout, module, facts)
    statement = encode(provenance(image, module, facts))
    predicate = {"in-toto.io/predicate-type": PREDICATE}
    report = {
        "digest": image["digest"],
        "manifest": manifest,
        "sbom": add_referrer(layout, image, SBOM, sbom, facts),
        "provenance": add_referrer(layout, image, STATEMENT, statement, facts, annotations=predicate),
    }
    layout.finish()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
