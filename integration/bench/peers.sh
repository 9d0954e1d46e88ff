#!/bin/bash
# peers.sh - get the runtimes that berth is compared with, and print them, one NAME=PATH a line.
#
#   runc, crun     of the newest Debian suite whose packages can be had: unpacked beside the machine, not installed, with
#                  the libraries that they were built for
#   crun static    built here from Debian's source of crun, against glibc, without systemd: crun at its best
#   youki          built from crates.io with the features of its releases, but without device rules on v2
#   … of Debian N  what is installed on this machine
#
# Kept in ${XDG_CACHE_HOME:-~/.cache}/berth/peers; remove that directory to get newer ones. A peer that cannot be had is
# named on standard error and left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=integration/apt.sh
. "$here/../apt.sh"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/berth/peers
# shellcheck source=/dev/null
own_suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
suites=(forky trixie)
youki=0.7.0

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
say() { echo "$*" >&2; }

# newest PACKAGE PROGRAM: a program with all its libraries and the loader for them.
newest() {
    local package=$1 program=$2 suite deb tree interpreter
    for suite in "${suites[@]}"; do
        say "$package of Debian's $suite (unpacked, not installed)"
        : >"$work/nothing-installed"
        private_apt "$work/apt-$suite" "$suite" || continue
        "${APT[@]}" clean
        "${APT[@]}" -y --no-install-recommends --download-only -o "Dir::State::status=$work/nothing-installed" \
            install "$package" >"$work/log" 2>&1 || continue
        tree=$cache/$package-tree
        rm -rf "$tree"
        mkdir "$tree"
        for deb in "$work/apt-$suite"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$tree"; done
        # Its loader looks for libraries in its own tree. The program stays one that `/proc/self/exe` can execute.
        cp "$tree/$program" "$work/$package"
        interpreter=$(find "$tree" -name 'ld-linux-*' ! -type d -path "*/$(gcc -print-multiarch)/*" | head -n 1)
        patchelf --set-interpreter "$interpreter" --set-rpath "${interpreter%/*}" "$work/$package" || continue
        "$work/$package" --version >"$work/log" 2>&1 || continue
        mv "$work/$package" "$cache/$package"
        return
    done
    say "$package: not to be had: $(tail -n 1 "$work/log")"
    return 1
}

# The original archive alone: its checksum is in the signed list of sources.
crun_source() {
    local suite uri file size checksum
    for suite in "${suites[@]}" "$own_suite"; do
        private_apt "$work/apt-$suite" "$suite" || continue
        while read -r uri file size checksum; do
            case $file in
            *.orig.tar.?z) ;;
            *) continue ;;
            esac
            say "the source of crun in Debian's $suite: $file ($size bytes)"
            uri=${uri#\'}
            if (cd "$work" && /usr/lib/apt/apt-helper download-file "${uri%\'}" "$file" "$checksum") >"$work/log" 2>&1 </dev/null
            then
                tar -xf "$work/$file" -C "$work"
                return
            fi
        done < <("${APT[@]}" source --print-uris crun 2>/dev/null | grep "^'")
    done
    return 1
}

crun_static() {
    local libraries source
    crun_source || { say "crun static: no source to be had: $(tail -n 1 "$work/log")"; return 1; }
    source=$(find "$work" -maxdepth 1 -name 'crun-*' -type d)
    # Static libraries for this machine's own glibc.
    private_apt "$work/apt-$own_suite" "$own_suite" || return 1
    (cd "$work" && "${APT[@]}" download libcap-dev libseccomp-dev >"$work/log" 2>&1) || return 1
    for deb in "$work"/lib*-dev_*.deb; do dpkg-deb -x "$deb" "$work/dev"; done
    libraries=$work/dev/usr/lib/$(gcc -print-multiarch)
    say "building ${source##*/}, static (a minute; kept in $cache)"
    (
        cd "$source"
        ./configure --disable-systemd --disable-criu --disable-dl --enable-embedded-yajl --enable-static \
            --disable-shared CFLAGS='-O2' CPPFLAGS="-I$work/dev/usr/include" LDFLAGS="-L$libraries -static"
        make git-version.h
        make -C libocispec libocispec.la
        make -C libocispec/yajl
        nice make -j"$(nproc)" crun LDFLAGS="-L$libraries -all-static"
        strip crun
    ) >"$work/log" 2>&1 || { say "crun static cannot be built: $(grep -m 1 -i error "$work/log")"; return 1; }
    cp "$source/crun" "$cache/crun-static"
}

build_youki() {
    "$here/../need.sh" "build youki" libseccomp-dev pkg-config gcc libc6-dev >&2
    say "building youki $youki from crates.io (some minutes; kept in $cache)"
    CARGO_TARGET_DIR=$work/youki nice cargo install --locked --quiet \
        --no-default-features --features systemd,v1,v2,seccomp --root "$work/install" "youki@$youki" \
        >"$work/log" 2>&1 </dev/null || { say "youki cannot be built: $(grep -m 1 error "$work/log")"; return 1; }
    strip -o "$cache/youki" "$work/install/bin/youki"
}

if ! [ -x "$cache/crun" ] || ! [ -x "$cache/runc" ] || ! [ -x "$cache/crun-static" ]; then
    "$here/../need.sh" "get other runtimes" gcc libc6-dev make patchelf python3 xz-utils debian-archive-keyring >&2
fi
[ -x "$cache/crun" ] || newest crun usr/bin/crun || true
[ -x "$cache/runc" ] || newest runc usr/sbin/runc || true
[ -x "$cache/crun-static" ] || crun_static || true
[ -x "$cache/youki" ] || build_youki || true

for peer in crun-static crun runc youki; do
    [ ! -x "$cache/$peer" ] || echo "${peer/-/ }=$cache/$peer"
done
# shellcheck source=/dev/null
debian=$(. /etc/os-release && echo "Debian ${VERSION_ID:-}")
for peer in crun runc; do
    installed=$(PATH=/usr/sbin:/usr/bin command -v "$peer" || true)
    [ -z "$installed" ] || echo "$peer of $debian=$installed"
done
