#!/usr/bin/env bash
# Writes tests/stores/VERSION: what every later version has to read. Run it once for a release, with its own binary:
#
#     cargo build --release && tools/earlier_stores.sh target/release/chatwal
#
# A folder that is there is never changed.
set -euo pipefail
chatwal=$(realpath "$1")
cd "$(dirname "$0")/../tests/stores"
version=$("$chatwal" --version | cut -d ' ' -f 2)
mkdir "$version"
cp 0.1.0/a.jsonl 0.1.0/b.jsonl "$version/"
cd "$version"

# Status 3: some lines of the inputs are rejects.
ingest() { "$chatwal" -q --store "$1" ingest --no-compact "${@:2}" || test $? = 3; }

ingest log a.jsonl
cp -r log snapshot
"$chatwal" -q --store snapshot compact --all
cp -r snapshot both
ingest both b.jsonl
# A byte of the first frame's contents is damaged.
cp -r log repaired
printf '\377' | dd of=repaired/0000000001.wal bs=1 seek=300 conv=notrunc status=none
if "$chatwal" -q --store repaired verify >/dev/null 2>&1; then echo "nothing was damaged" >&2; exit 1; fi
"$chatwal" -q --store repaired repair >/dev/null 2>&1 || true
rm -f repaired/*.repair-*
ingest repaired a.jsonl b.jsonl
for store in log snapshot both repaired; do
    "$chatwal" -q --store "$store" verify >/dev/null
    "$chatwal" -q --store "$store" report >"$store.report"
    rm -f "$store/LOCK"
done
