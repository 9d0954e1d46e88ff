#!/bin/bash
# need.sh "WHY" NEED… - see that what a target needs is there; install what is missing, after saying so.
#
# A NEED is a Debian package, `target:TRIPLE` (a target of the Rust toolchain) or `component:NAME` (a part of it).
# Quiet and quick when nothing is missing. Never upgrades, never changes the machine's package sources.
set -euo pipefail

why=$1
shift
packages=() targets=() components=()

sysroot=
for need; do
    case $need in
    target:*)
        sysroot=${sysroot:-$(rustc --print sysroot)}
        [ -d "$sysroot/lib/rustlib/${need#*:}/lib" ] || targets+=("${need#*:}")
        ;;
    component:*)
        cargo "${need#*:}" --version >/dev/null 2>&1 || components+=("${need#*:}")
        ;;
    *)
        status=$(dpkg-query -W -f '${db:Status-Status}' "$need" 2>/dev/null || true)
        [ "$status" = installed ] || packages+=("$need")
        ;;
    esac
done

if [ ${#packages[@]} -gt 0 ]; then
    echo "installing with apt-get, to $why: ${packages[*]}"
    if [ "$(id -u)" != 0 ]; then
        echo "error: only root can install packages; run as root: apt-get install ${packages[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt=(apt-get -q -o DPkg::Lock::Timeout=600)
    # Lists can be missing (images ship without) or too old to name a file the mirror still has: fetch them, try again.
    if ! apt-get -q -s install --no-install-recommends "${packages[@]}" >/dev/null 2>&1 ||
        ! "${apt[@]}" -y install --no-install-recommends "${packages[@]}" </dev/null >/dev/null 2>&1; then
        "${apt[@]}" update >/dev/null
        "${apt[@]}" -y install --no-install-recommends "${packages[@]}" </dev/null >/dev/null
    fi
fi
if [ ${#targets[@]} -gt 0 ]; then
    echo "installing with rustup, to $why: the target ${targets[*]}"
    rustup -q target add "${targets[@]}"
fi
if [ ${#components[@]} -gt 0 ]; then
    echo "installing with rustup, to $why: the component ${components[*]}"
    rustup -q component add "${components[@]}"
fi
