#!/bin/bash
# libseccomp.sh OUT - libseccomp as a static library for musl, in OUT (OUT/lib, OUT/include).
#
# Debian's own libseccomp.a is built against glibc, so the library is compiled here, from Debian's source package, whose
# signature apt checks. The suite is fixed, so that every machine builds the same version. The result is kept in
# ${XDG_CACHE_HOME:-~/.cache}/berth and shared by all checkouts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

version=2.6.0 suite=trixie
out=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/berth/libseccomp-$version-musl

if [ ! -e "$cache/lib/libseccomp.a" ]; then
    "$here/need.sh" "compile libseccomp for musl" musl-tools gcc make gperf xz-utils dpkg-dev linux-libc-dev debian-archive-keyring
    echo "compiling libseccomp $version for musl (once; kept in $cache)"
    mkdir -p "${cache%/*}"
    work=$(mktemp -d "$cache.XXXXXX")
    trap 'rm -rf "$work"' EXIT

    # shellcheck source=integration/apt.sh
    . "$here/apt.sh"
    private_apt "$work/apt" "$suite"
    (cd "$work" && "${APT[@]}" source libseccomp >source.log 2>&1) || { cat "$work/source.log" >&2; exit 1; }
    if [ ! -d "$work/libseccomp-$version" ]; then
        echo "error: $suite has another libseccomp than $version: $(cd "$work" && echo libseccomp*)" >&2
        exit 1
    fi

    # musl-gcc sees no kernel headers; give it those, and nothing else of glibc's include directory.
    mkdir "$work/kernel"
    ln -s /usr/include/linux /usr/include/asm-generic "$work/kernel/"
    ln -s "/usr/include/$(gcc -print-multiarch)/asm" "$work/kernel/asm"
    (
        cd "$work/libseccomp-$version"
        ./configure CC=musl-gcc CFLAGS="-O2 -fno-pie -idirafter $work/kernel" \
            --host="$(uname -m)-linux-musl" --prefix="$cache" --enable-static --disable-shared --disable-python
        make -j"$(nproc)" -C include install DESTDIR="$work/install"
        make -j"$(nproc)" -C src install DESTDIR="$work/install"
        make install-pkgconfDATA DESTDIR="$work/install"
    ) >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log" >&2; exit 1; }
    # Renamed into place: a build that is interrupted, or that another checkout runs at the same time, does no harm.
    mv -T "$work/install$cache" "$cache" 2>/dev/null || [ -e "$cache/lib/libseccomp.a" ]
fi

mkdir -p "${out%/*}"
ln -sfn "$cache" "$out"
