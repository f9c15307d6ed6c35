#!/usr/bin/env bash
# Makes what is given to people, reproducibly: the same commit gives the same bytes, in any folder.
#
#     tools/release.sh [DIRECTORY]        default: target/dist
#
# A static x86_64 binary, stripped, and its symbols in a file beside it; an archive with the manual, completions and pages; a .deb for
# dpkg of any age; a Dockerfile's context; an SBOM (CycloneDX) and the licences of all dependencies; SHA256SUMS of them all.
#
# Needs cargo, gcc with a static C library (Debian: libc6-dev), binutils, GNU tar, gzip, python3, go-md2man; dpkg-deb for the .deb, which
# is left out without it. Nothing is taken from the network but what Cargo.lock names.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
out=$(mkdir -p "${1:-target/dist}" && cd "${1:-target/dist}" && pwd)
TRIPLE=x86_64-unknown-linux-gnu

for tool in cargo gcc objcopy strip tar gzip python3 sha256sum go-md2man; do
    command -v "$tool" >/dev/null || { echo "release.sh: $tool is not installed" >&2; exit 1; }
done
version=$(cargo metadata --format-version 1 --no-deps | python3 -c '
import json, sys
print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "chatwal"))')
# The moment of the commit stands for the moment of the build.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export LC_ALL=C TZ=UTC
umask 022

# -- the programs: no path of this machine in them, and no part of a shared library.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
build=$ROOT/target/release-build
sysroot=$(rustc --print sysroot)
export RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static --remap-path-prefix=$ROOT=/chatwal --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust"
export CFLAGS="-ffile-prefix-map=$ROOT=/chatwal -ffile-prefix-map=$cargo_home=/cargo"
CARGO_TARGET_DIR=$build CARGO_INCREMENTAL=0 cargo build --quiet --release --locked --target "$TRIPLE" --bin chatwal --bin segment-dump

name=chatwal-$version-$TRIPLE
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/$name
# As it is laid out below /usr/local.
share=$tree/share doc=$tree/share/doc/chatwal
mkdir -p "$tree/bin" "$share"/{man/man1,man/man5,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d} "$doc"/{docs,examples}
for program in chatwal segment-dump; do
    objcopy --only-keep-debug "$build/$TRIPLE/release/$program" "$work/$program.debug"
    strip --strip-all -R .comment -R .note.gnu.build-id -o "$tree/bin/$program" "$build/$TRIPLE/release/$program"
done
chatwal=$tree/bin/chatwal
"$chatwal" man --into "$share/man/man1"
# The chapters on what stands where; the whole is wal-format.md. Tables become lists: cells are long, and terminals narrow.
{
    echo "% \"chatwal-store\" \"5\" \"$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)\" \"chatwal $version\" \"chatwal\""
    echo "# NAME"
    echo "chatwal-store - the files of a chatwal store"
    echo "# DESCRIPTION"
    echo "These are the first two chapters of wal-format.md, which describes each byte of a store; numbers of sections are those of that page."
    sed -n '/^## 1\. /,/^## 3\. /p' wal-format.md | sed '$d; s/^## [0-9]*\. \(.*\)/# \U\1/; s/^### /## /' | awk '
        /^\|[-|]*\|$/ { next }
        /^\|/ { if (!table) { table = 1; next } line = $0; gsub(/^\| *| *\|$/, "", line); sub(/ *\| */, ": ", line); gsub(/ *\| */, "; ", line); print "- " line; next }
        { table = 0; print }'
    echo "# SEE ALSO"
    echo "**chatwal**(1), **segment-dump**(1)"
} | go-md2man >"$share/man/man5/chatwal-store.5"
"$chatwal" completions bash >"$share/bash-completion/completions/chatwal"
"$chatwal" completions zsh >"$share/zsh/site-functions/_chatwal"
"$chatwal" completions fish >"$share/fish/vendor_completions.d/chatwal.fish"
cp README.md CHANGELOG.md CONTRIBUTING.md LICENSE wal-format.md "$doc/"
cp docs/*.md docs/*.svg docs/*.png "$doc/docs/"
cp examples/* "$doc/examples/"
python3 tools/dependencies.py --licences >"$doc/LICENCES-OF-DEPENDENCIES"
python3 tools/dependencies.py --sbom >"$work/$name.cdx.json"

# tar_of OUTPUT DIRECTORY NAME...: the same bytes for the same files.
tar_of() {
    local output=$1 directory=$2
    shift 2
    tar --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$directory" -cf - "$@" | gzip -9n >"$output"
}

rm -rf "${out:?}"/*
tar_of "$out/$name.tar.gz" "$work" "$name"
tar_of "$out/$name-symbols.tar.gz" "$work" chatwal.debug segment-dump.debug
cp "$work/$name.cdx.json" "$out/"

# -- the Debian package: gzip members, so that dpkg of 2012 takes it; no Depends, since nothing is needed.
if command -v dpkg-deb >/dev/null; then
    deb=$work/deb
    mkdir -p "$deb"/{DEBIAN,etc/default,lib/systemd/system,usr/share/zsh/vendor-completions}
    cp -r "$tree/bin" "$tree/share" "$deb/usr/"
    # Where Debian has them, and as it has them.
    mv "$deb/usr/share/zsh/site-functions/_chatwal" "$deb/usr/share/zsh/vendor-completions/"
    rmdir "$deb/usr/share/zsh/site-functions"
    gzip -9n "$deb"/usr/share/man/man?/* "$deb/usr/share/doc/chatwal/CHANGELOG.md"
    mv "$deb/usr/share/doc/chatwal/CHANGELOG.md.gz" "$deb/usr/share/doc/chatwal/changelog.gz"
    (cd "$deb/usr/share/doc/chatwal" && cat LICENSE LICENCES-OF-DEPENDENCIES >copyright && rm LICENSE LICENCES-OF-DEPENDENCIES)
    cp packaging/chatwal.service packaging/chatwal.timer packaging/chatwal-follow.service "$deb/lib/systemd/system/"
    cp packaging/chatwal.default "$deb/etc/default/chatwal"
    echo /etc/default/chatwal >"$deb/DEBIAN/conffiles"
    for script in postinst postrm; do
        install -m 755 "packaging/$script" "$deb/DEBIAN/$script"
    done
    size=$(du -sk --exclude=DEBIAN "$deb" | cut -f1)
    sed -e "s/@VERSION@/$version/" -e "s/@SIZE@/$size/" packaging/control >"$deb/DEBIAN/control"
    chmod -R u=rwX,go=rX "$deb"
    find "$deb" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch -hd "@$SOURCE_DATE_EPOCH"
    dpkg-deb --root-owner-group --uniform-compression -Zgzip -z9 --build "$deb" "$out/chatwal_${version}_amd64.deb" >/dev/null
else
    echo "release.sh: no dpkg-deb: the .deb is left out" >&2
fi

cp packaging/Dockerfile "$out/Dockerfile"
cp "$tree/bin/chatwal" "$out/chatwal"
(cd "$out" && sha256sum -- * >SHA256SUMS.tmp && mv SHA256SUMS.tmp SHA256SUMS && cat SHA256SUMS)
