#!/usr/bin/env bash
# Proves that the static binary runs on a machine of 2012: tools/age.sh [BINARY], default what tools/release.sh made.
#
# Its ELF has no interpreter and no dynamic section; it runs in an empty folder as its root; and with every system call refused that is newer
# than Linux 3.2 (tools/old_kernel.py), the whole job, a kill and a resume give the same bytes as without.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "${1:-target/dist/chatwal}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

headers=$(readelf -lW "$binary")
if grep -Eq 'INTERP|DYNAMIC' <<<"$headers"; then
    echo "age.sh: $binary is linked dynamically" >&2
    exit 1
fi
echo "no interpreter, no dynamic section"

mkdir "$work/root"
cp "$binary" "$work/root/chatwal"
cp examples/chat.jsonl "$work/root/"
unshare --user --map-root-user chroot "$work/root" /chatwal -q run /chat.jsonl | cmp - examples/chat.report
echo "runs in an empty root"

old() { python3 tools/old_kernel.py "$@"; }
cp examples/chat.jsonl "$work/"
old "$binary" -q run "$work/chat.jsonl" | cmp - examples/chat.report
echo "runs with the system calls of Linux 3.2"

# Enough lines that a kill falls into the middle of them.
for copy in $(seq 400); do sed "s/\"id\":\"/&$copy-/" examples/chat.jsonl; done >"$work/many.jsonl"
"$binary" -q --store "$work/expected" run "$work/many.jsonl" >"$work/expected.report"
killed=0
for wait in 0.08 0.12 0.16 0.2 0.24 0.3; do
    # Not by `old`: the shell that runs it would be killed, and not the program.
    python3 tools/old_kernel.py "$binary" -q --store "$work/store" ingest "$work/many.jsonl" &
    sleep "$wait"
    kill -9 $! 2>/dev/null && killed=$((killed + 1))
    wait $! 2>/dev/null || true
done
old "$binary" -q --store "$work/store" run "$work/many.jsonl" | cmp - "$work/expected.report"
old "$binary" -q --store "$work/store" compact --all
old "$binary" -q --store "$work/store" report | cmp - "$work/expected.report"
old "$binary" -q --store "$work/store" verify
echo "killed $killed times and resumed, compacted and verified with them: the same bytes"
