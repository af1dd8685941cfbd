#!/usr/bin/env python3
"""Makes JSON schemas as kubeconform looks for them, one file for each version of a kind.

usage: schemas.py FOLDER KUBERNETES CRD-FILE...

KUBERNETES is a folder of schemas of Kubernetes' own kinds that share definitions; here each holds what it needs. Custom
resource definitions are turned into schemas. What a definition does not name is refused, as `kubectl apply --validate=strict` refuses it, except where the
definition itself keeps unknown fields.
"""

import glob
import json
import os
import re
import sys

import yaml


def strict(schema):
    """The same schema, and no other properties than the named ones."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for name, value in schema.items():
        if name == "properties":
            result[name] = {key: strict(one) for key, one in value.items()}
        elif name in ("items", "additionalProperties", "allOf", "anyOf", "oneOf", "not"):
            result[name] = strict(value)
        elif name == "x-kubernetes-int-or-string":
            result["type"] = ["integer", "string"]
        elif not name.startswith("x-kubernetes-"):
            result[name] = value
    closed = "properties" in schema and schema.get("type") == "object" and "additionalProperties" not in schema
    if closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = False
    return result


def schema_of(version):
    schema = strict(version["schema"]["openAPIV3Schema"])
    # Written out by no definition.
    schema["properties"] |= {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
    }
    return schema


def referred(text):
    return set(re.findall(r'#/\$defs/([^"]+)"', text))


def own_kinds(folder, out):
    with open(os.path.join(folder, "_definitions.json"), encoding="utf-8") as file:
        shared = json.load(file)["$defs"]
    for path in glob.glob(os.path.join(folder, "*.json")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if "x-kubernetes-group-version-kind" not in text:
            continue
        needed, more = {}, referred(text)
        while more:
            needed |= {name: shared[name] for name in more}
            more = referred(json.dumps(needed)) - set(needed)
        schema = json.loads(text) | {"$defs": needed}
        # The address of the folder that they were made for: references would be looked for there.
        del schema["$id"]
        with open(os.path.join(out, os.path.basename(path)), "w", encoding="utf-8") as file:
            file.write(re.sub(r'"[^"]*_definitions\.json#', '"#', json.dumps(schema)))


def main():
    if len(sys.argv) < 4 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    folder = sys.argv[1]
    own_kinds(sys.argv[2], folder)
    for path in sys.argv[3:]:
        with open(path, encoding="utf-8") as file:
            for document in yaml.safe_load_all(file):
                if not document or document.get("kind") != "CustomResourceDefinition":
                    continue
                spec = document["spec"]
                for version in spec["versions"]:
                    name = f"{spec['names']['kind']}_{spec['group']}_{version['name']}.json".lower()
                    with open(os.path.join(folder, name), "w", encoding="utf-8") as file_out:
                        json.dump(schema_of(version), file_out)


if __name__ == "__main__":
    main()
