#!/bin/bash
# build.sh - build the OCI runtime-tools validation suite; prints the directory to run it from.
#
# Debian's binary package leaves the suite out, so it is built from Debian's source package, of a fixed suite and version,
# with the Go libraries that Debian has. The result is kept in ${XDG_CACHE_HOME:-~/.cache}/berth.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

source=golang-github-opencontainers-runtime-tools version=0.9.0.109.ge931285 suite=trixie
sha256=203989a1ea98cf2aaced79155bbda09270b20db19b03376dde91ab12e5e6a0fe
recipe=$(cat "$here/build.sh" "$here/tap/tap.go" | sha256sum | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/berth/conformance-$recipe

if [ ! -e "$cache/complete" ]; then
    {
        "$here/../need.sh" "build the conformance suite" golang-go make xz-utils debian-archive-keyring \
            golang-github-opencontainers-runtime-tools-dev golang-github-google-uuid-dev
        echo "building the conformance suite (once; kept in $cache)"
        mkdir -p "${cache%/*}"
        work=$(mktemp -d "$cache.XXXXXX")
        trap 'rm -rf "$work"' EXIT

        # shellcheck source=integration/apt.sh
        . "$here/../apt.sh"
        private_apt "$work/apt" "$suite"
        (cd "$work" && "${APT[@]}" source --download-only --tar-only "$source" >/dev/null)
        echo "$sha256  $work/${source}_$version.orig.tar.xz" | sha256sum --check --quiet

        go=$work/go/src/github.com
        mkdir -p "$go/opencontainers/runtime-tools" "$go/mndrix/tap-go"
        tar -x -f "$work/${source}_$version.orig.tar.xz" --strip-components=1 -C "$go/opencontainers/runtime-tools"
        cp "$here/tap/tap.go" "$go/mndrix/tap-go/"
        # The libraries come from Debian's packages in /usr/share/gocode: no modules, no downloads.
        (cd "$go/opencontainers/runtime-tools" &&
            env GO111MODULE=off GOFLAGS= GOPATH="$work/go:/usr/share/gocode" GOCACHE="$work/gocache" CGO_ENABLED=0 \
                make -j"$(nproc)" COMMIT= runtimetest validation-executables) >"$work/build.log" 2>&1 ||
            { tail -n 30 "$work/build.log"; exit 1; }
        touch "$go/opencontainers/runtime-tools/complete"
        mv -T "$go/opencontainers/runtime-tools" "$cache" 2>/dev/null || [ -e "$cache/complete" ]
    } >&2
fi
echo "$cache"
