#!/usr/bin/env bash
# Tries a .deb on a system without Rust: install, use, upgrade, remove, purge. As root:
#
#     debootstrap --variant=minbase bookworm ROOT && tools/deb_trial.sh ROOT target/dist/chatwal_*.deb
set -euo pipefail
root=$(realpath "$1") deb=$(realpath "$2")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

in_root() { chroot "$root" "$@"; }
has() { [ -e "$root/$1" ] || { echo "deb_trial.sh: no $1" >&2; exit 1; }; }
lacks() { [ ! -e "$root/$1" ] || { echo "deb_trial.sh: $1 is left" >&2; exit 1; }; }
lacks usr/bin/chatwal
! in_root sh -c 'command -v cargo' >/dev/null

cp "$deb" "$root/tmp/chatwal.deb"
cp examples/chat.jsonl "$root/tmp/"
in_root dpkg -i /tmp/chatwal.deb >"$work/said"
in_root chatwal -q run /tmp/chat.jsonl | cmp - examples/chat.report
in_root segment-dump /tmp/chat.jsonl.chatwal/0000000001.wal >/dev/null
for file in bash-completion/completions/chatwal zsh/vendor-completions/_chatwal fish/vendor_completions.d/chatwal.fish \
    man/man1/chatwal.1.gz man/man1/chatwal-sources-forget.1.gz man/man1/segment-dump.1.gz man/man5/chatwal-store.5.gz doc/chatwal/copyright; do
    has "usr/share/$file"
done
for page in "$root"/usr/share/man/man*/{chatwal,segment-dump}*; do
    gzip -t "$page"
done
in_root getent passwd chatwal | grep -q '/var/lib/chatwal:/usr/sbin/nologin$'
[ "$(in_root stat -c '%U %a' /var/lib/chatwal)" = "chatwal 700" ]
lacks etc/systemd/system/timers.target.wants/chatwal.timer
# What the service runs, as its user.
# setpriv is part of every Debian.
as_service=(setpriv --reuid=chatwal --regid=chatwal --clear-groups env CHATWAL_STORE=/var/lib/chatwal/store)
in_root "${as_service[@]}" chatwal -q --memory 128M ingest /tmp/chat.jsonl
in_root "${as_service[@]}" chatwal report | cmp - examples/chat.report
echo "installed and used"

sed -i 's/^MEMORY=.*/MEMORY=64M/' "$root/etc/default/chatwal"
dpkg-deb -R "$deb" "$work/next"
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
dpkg-deb --root-owner-group -Zgzip --build "$work/next" "$root/tmp/next.deb" >/dev/null
in_root dpkg -i /tmp/next.deb >"$work/said"
grep -q '^MEMORY=64M' "$root/etc/default/chatwal"
in_root "${as_service[@]}" chatwal report | cmp - examples/chat.report
echo "upgraded: what was set stays set"

in_root dpkg -r chatwal >"$work/said"
lacks usr/bin/chatwal
has etc/default/chatwal
has var/lib/chatwal/store/0000000001.wal
in_root dpkg -P chatwal >"$work/said" 2>&1
lacks etc/default/chatwal
has var/lib/chatwal/store/0000000001.wal
in_root getent passwd chatwal >/dev/null
# Who takes the store away takes the account away with the next purge.
rm -r "$root/var/lib/chatwal/store"
in_root dpkg -i /tmp/chatwal.deb >"$work/said" && in_root dpkg -P chatwal >"$work/said" 2>&1
lacks var/lib/chatwal
! in_root getent passwd chatwal >/dev/null
echo "removed and purged: the store stays, and the account as long as it is there"
