#!/usr/bin/env bash
# Counts the instructions of a small fixed workload for two commits, to review changes with: unlike seconds they are the
# same each time, to some hundredths of a percent (hashes are seeded at random), whatever else the machine does. They say
# nothing of waiting, and little of caches: for those there is compare.py.
#
#     tools/instructions.sh [BEFORE [AFTER]]        default: HEAD~1 and HEAD
#     LINES=200000 tools/instructions.sh v0.1.0     a larger workload (callgrind is 50 times as slow; default 20,000)
#
# Builds each commit in a worktree of its own under target/instructions, which stays, so that only the first build is slow
# (`git worktree remove --force target/instructions/before` and `after` take them away). Both get the lines that AFTER's
# generator makes.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"; exit ;; esac
command -v valgrind >/dev/null || {
    echo "instructions.sh: valgrind is not installed: apt-get install valgrind (or dnf, pacman)" >&2
    exit 1
}
before=$(git rev-parse --verify --short "${1:-HEAD~1}^{commit}")
after=$(git rev-parse --verify --short "${2:-HEAD}^{commit}")
lines=${LINES:-20000}
work=$PWD/target/instructions
mkdir -p "$work"
git worktree prune

# build SIDE COMMIT: the commit's programs, in SIDE.
build() {
    local tree=$work/$1
    if [ -e "$tree/.git" ]; then
        git -C "$tree" checkout --quiet --force --detach "$2"
    else
        git worktree add --quiet --force --detach "$tree" "$2"
    fi
    echo "building $2 ..." >&2
    # Each has its own target directory: neither build can be taken for the other's.
    (cd "$tree" && CARGO_TARGET_DIR=$tree/target cargo build --quiet --release --locked --bin chatwal)
}

# count SIDE NAME ARGUMENT...: the instructions of chatwal with these arguments.
count() {
    local side=$1 name=$2
    shift 2
    local profile=$work/$side-$name.callgrind
    valgrind --tool=callgrind --callgrind-out-file="$profile" "$work/$side/target/release/chatwal" -q --threads 1 "$@" \
        >"$work/$side-$name.out" 2>"$work/$side-$name.err" || { cat "$work/$side-$name.err" >&2; exit 1; }
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/$side-$name.err"
}

# measure SIDE: a line a step, its name and its instructions.
measure() {
    local store=$work/$1-store
    rm -rf "$store"
    for step in "ingest --no-compact $work/lines.jsonl" report "compact --all"; do
        # Words, on purpose: a path with spaces in it is refused below, before this is called.
        # shellcheck disable=SC2086
        echo "${step%% *} $(count "$1" "${step%% *}" --store "$store" $step)"
    done
}

case "$work" in *[[:space:]]*) echo "instructions.sh: works only under a path without spaces" >&2; exit 1 ;; esac
build before "$before"
build after "$after"
(cd "$work/after" && CARGO_TARGET_DIR=$work/after/target cargo build --quiet --release --bin chatwal-generate)
"$work/after/target/release/chatwal-generate" --lines "$lines" --sites $((lines / 50 + 1)) --copies 0.1 --output "$work/lines.jsonl"
echo "counting ..." >&2
measure before >"$work/before.counts"
measure after >"$work/after.counts"
cmp "$work/before-report.out" "$work/after-report.out" || { echo "instructions.sh: the reports differ" >&2; exit 1; }

echo "Instructions of chatwal --threads 1 for $lines lines: $before, then $after"
echo
echo "| step | before | after | a line | difference |"
echo "|---|---|---|---|---|"
paste -d ' ' "$work/before.counts" "$work/after.counts" | awk -v lines="$lines" '
    { printf "| %s | %d | %d | %.0f | %+.2f %% |\n", $1, $2, $4, $4 / lines, ($4 / $2 - 1) * 100 }'
echo
echo "Where they went: callgrind_annotate target/instructions/after-ingest.callgrind | head -n 40"
