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
mkdir -p "$tree"/{bin,man,completions,docs}
for program in chatwal segment-dump; do
    objcopy --only-keep-debug "$build/$TRIPLE/release/$program" "$work/$program.debug"
    strip --strip-all -R .comment -R .note.gnu.build-id -o "$tree/bin/$program" "$build/$TRIPLE/release/$program"
done
chatwal=$tree/bin/chatwal
"$chatwal" man --into "$tree/man"
# The chapters on what stands where; the whole is wal-format.md.
{
    echo "% \"chatwal-store\" \"5\" \"$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)\" \"chatwal $version\" \"chatwal\""
    echo "# NAME"
    echo "chatwal-store - the files of a chatwal store"
    sed -n '2,/^## 3\. /p' wal-format.md | sed '$d; s/^## [0-9]*\. /# /; s/^### /## /'
    echo "# SEE ALSO"
    echo "**chatwal**(1), **segment-dump**(1); wal-format.md has all of the format"
} | go-md2man >"$tree/man/chatwal-store.5"
for shell in bash zsh fish; do
    case $shell in bash) file=chatwal ;; zsh) file=_chatwal ;; fish) file=chatwal.fish ;; esac
    mkdir -p "$tree/completions/$shell"
    "$chatwal" completions "$shell" >"$tree/completions/$shell/$file"
done
cp README.md CHANGELOG.md LICENSE wal-format.md "$tree/"
cp docs/*.md docs/*.svg docs/*.png "$tree/docs/"
python3 tools/dependencies.py --licences >"$tree/LICENCES-OF-DEPENDENCIES"
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
    mkdir -p "$deb"/{DEBIAN,etc/default,lib/systemd/system,usr/bin,usr/share/{man/man1,man/man5,zsh/vendor-completions,fish/vendor_completions.d,bash-completion/completions,doc/chatwal}}
    cp "$tree"/bin/* "$deb/usr/bin/"
    for page in "$tree"/man/*.[15]; do
        gzip -9nc "$page" >"$deb/usr/share/man/man${page##*.}/$(basename "$page").gz"
    done
    cp "$tree/completions/bash/chatwal" "$deb/usr/share/bash-completion/completions/"
    cp "$tree/completions/zsh/_chatwal" "$deb/usr/share/zsh/vendor-completions/"
    cp "$tree/completions/fish/chatwal.fish" "$deb/usr/share/fish/vendor_completions.d/"
    cp -r "$tree/docs" README.md wal-format.md "$deb/usr/share/doc/chatwal/"
    gzip -9nc CHANGELOG.md >"$deb/usr/share/doc/chatwal/changelog.gz"
    cat LICENSE "$tree/LICENCES-OF-DEPENDENCIES" >"$deb/usr/share/doc/chatwal/copyright"
    cp packaging/chatwal.service packaging/chatwal.timer "$deb/lib/systemd/system/"
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
