#!/usr/bin/env python3
"""Holds built manifests against the Roles in them: each part is its owner's to change, and nobody else's.

usage: ownership.py WITH-ROLES OTHER...

The first file holds the Roles as well. Owners are named by the label sallyport/owner: `cluster` (administrators, who
need no Role here), `ops` and `platform`.
"""

import sys

import yaml

WRITES = {"create", "update", "patch", "delete"}
# Bound by a RoleBinding in each namespace of workloads.
GUARD = ("platform", None)


def load(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


def plural(kind):
    name = kind.lower()
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def group(document):
    return document["apiVersion"].rpartition("/")[0]


def namespace(document):
    return document["metadata"].get("namespace")


def owner(document):
    return document["metadata"].get("labels", {}).get("sallyport/owner")


def what(document):
    return f"{document['kind']} {namespace(document) or '-'}/{document['metadata']['name']}"


def roles(documents):
    """The rules by who has them and where; None stands for each namespace of workloads."""
    found = {}
    for document in documents:
        if document["kind"] == "Role":
            found[document["metadata"]["name"].removeprefix("sallyport-"), namespace(document)] = document["rules"]
        if document["kind"] == "ClusterRole" and document["metadata"]["name"] == "sallyport-workload-guard":
            found[GUARD] = document["rules"]
    return found


def writes(rules, document):
    """The verbs that change a document and that these rules grant."""
    granted = set()
    for rule in rules:
        groups, kinds = rule.get("apiGroups", []), rule.get("resources", [])
        if {group(document), "*"} & set(groups) and {plural(document["kind"]), "*"} & set(kinds):
            granted |= WRITES if "*" in rule["verbs"] else WRITES & set(rule["verbs"])
    return granted


def faults(documents, granted, workload_namespaces):
    for document in documents:
        who, where = owner(document), namespace(document)
        if who not in ("cluster", "ops", "platform"):
            yield f"{what(document)}: belongs to nobody (label sallyport/owner)"
            continue
        for team in ("ops", "platform"):
            place = (team, None if where in workload_namespaces else where)
            has = writes(granted.get(place, []), document)
            if team == who and has != WRITES:
                yield f"{what(document)}: {team} owns it, and may not {', '.join(sorted(WRITES - has))} it"
            if team != who and has:
                yield f"{what(document)}: {who} owns it, and {team} may {', '.join(sorted(has))} it"


def escalations(granted):
    for (team, where), rules in granted.items():
        for rule in rules:
            if {"escalate", "bind", "impersonate"} & set(rule["verbs"]) or "*" in rule["verbs"] + rule["resources"]:
                yield f"{team} in {where or 'workload namespaces'}: a rule that hands out more than it names"
            if "rbac.authorization.k8s.io" in rule.get("apiGroups", []):
                yield f"{team} in {where or 'workload namespaces'}: may change Roles"


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    granted = roles(load(sys.argv[1]))
    expected = {("ops", "edge"), ("platform", "istio-ingress"), GUARD}
    found = [f"Roles: {sorted(map(str, granted))}, expected {sorted(map(str, expected))}"] if set(granted) != expected else []
    found += escalations(granted)
    for path in sys.argv[1:]:
        documents = load(path)
        guarded = {namespace(document) for document in documents if document["kind"] == "PeerAuthentication"}
        found += faults(documents, granted, guarded)
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
