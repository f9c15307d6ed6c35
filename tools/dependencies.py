#!/usr/bin/env python3
"""What the programs are made of: an SBOM (CycloneDX 1.5, JSON), or the licences of all dependencies with their texts.

    tools/dependencies.py --sbom
    tools/dependencies.py --licences

Reads `cargo metadata --locked`: exactly the packages that the default features of chatwal compile for x86_64 Linux, nothing that only
tests need. The same Cargo.lock gives the same bytes.
"""

import argparse
import json
import pathlib
import subprocess
import sys

TRIPLE = "x86_64-unknown-linux-gnu"


def packages():
    """The package chatwal, and all that it is made of, by name and version."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TRIPLE]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    by_id = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    own = next(package for package in told["packages"] if package["name"] == "chatwal" and package["source"] is None)
    seen, todo = set(), [own["id"]]
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            # "dev" is for tests; what builds is part of what was built.
            if dependency["pkg"] not in seen and any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    return own, sorted((by_id[one] for one in seen), key=lambda package: (package["name"], package["version"]))


def sbom(own, others):
    def component(package, kind):
        purl = f"pkg:cargo/{package['name']}@{package['version']}"
        return {"type": kind, "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl,
                "licenses": [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}]}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": component(own, "application")},
            "components": [component(package, "library") for package in others]}


def licences(others):
    for package in others:
        folder = pathlib.Path(package["manifest_path"]).parent
        yield f"== {package['name']} {package['version']}: {package['license'] or 'see below'}\n"
        names = ("license", "licence", "copying", "notice", "unlicense")
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name.lower().startswith(names):
                yield f"-- {path.name}\n{path.read_text(errors='replace').strip()}\n"


def main():
    parser = argparse.ArgumentParser(description="what chatwal is made of")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sbom", action="store_true", help="CycloneDX, JSON")
    what.add_argument("--licences", action="store_true", help="the licences and their texts")
    args = parser.parse_args()
    own, others = packages()
    if args.sbom:
        json.dump(sbom(own, others), sys.stdout, indent=1, sort_keys=True)
        print()
    else:
        print(f"chatwal {own['version']} is made of these, each under its own licence.\n")
        print("\n".join(licences(others)))


if __name__ == "__main__":
    main()
