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


def beside():
    """What is linked into the static binary beside the packages of Cargo: name, version, licence, and what to know."""
    first = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    rust = first("rustc", "--version").split()[1]
    glibc = first("ldd", "--version").split()[-1]
    return [
        ("rust-std", rust, "MIT OR Apache-2.0",
         "The standard library of Rust, with the crates that it is made of, among them addr2line, gimli, hashbrown, miniz_oxide, object and\n"
         "rustc-demangle. Their licences are in share/doc of each Rust toolchain, and at the top of their sources."),
        ("glibc", glibc, "LGPL-2.1-or-later",
         "The GNU C Library, linked statically. It is free software under the GNU Lesser General Public License, version 2.1 or later, whose\n"
         "text comes with each system (/usr/share/common-licenses/LGPL-2.1 on Debian) and with the library's source. To link chatwal with\n"
         "another version of it, install that and run tools/release.sh: all that chatwal is made of is in its repository and in Cargo.lock."),
    ]


def sbom(own, others):
    def component(package, kind):
        purl = f"pkg:cargo/{package['name']}@{package['version']}"
        return {"type": kind, "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl,
                "licenses": [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}]}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": component(own, "application")},
            "components": [component(package, "library") for package in others] + [
                {"type": "library", "bom-ref": name, "name": name, "version": version, "licenses": [{"expression": licence}]}
                for name, version, licence, _ in beside()]}


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
        for name, version, licence, text in beside():
            print(f"\n== {name} {version}: {licence}\n\n{text}")


if __name__ == "__main__":
    main()
