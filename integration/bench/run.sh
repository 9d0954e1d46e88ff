#!/bin/bash
# run.sh - measure berth and its peers, for `make bench`. docs/benchmark.md says what the numbers mean.
#
#   BERTH         the runtime to measure
#   DRIVER        the program that measures (built from src/ here)
#   OUT           directory for report.md, plot.svg, results.tsv
#   ONLY          sections, separated by commas; default: all
#   ROUNDS        rounds of the timed sections; default 50
#   BENCH_FORCE   1: measure although the machine is busy
#   PROCESSOR_TIME  1: take the processor time instead, which a busy machine hardly changes
#   COMPARE       other builds of berth to measure beside it, NAME=PATH separated by spaces
#
# All of it happens in mount and pid namespaces of its own, with everything on a tmpfs there: what is measured cannot see
# the machine's cgroup mounts, and nothing survives the end but cgroups, which are removed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# cgroup v2 alone, as on current hosts: crun refuses hybrid ones.
pure_v2() {
    [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] || return 0
    awk '$5 ~ "^/sys/fs/cgroup" { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount -l
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

# bundle NAME FILTER [CONFIG]: made by jq from a configuration.
bundle() {
    local rootfs=$work/bundles/$1/rootfs
    mkdir -p "$rootfs"/{bin,dev,etc,proc,root,sys,tmp}
    cp "$(command -v busybox)" "$rootfs/bin/"
    ln -s busybox "$rootfs/bin/true"
    cp "$OUT/bin/payload" "$rootfs/bin/"
    [ "$1" != small ] || ln -sf payload "$rootfs/bin/true"
    touch "$rootfs"/etc/{hostname,hosts,resolv.conf}
    jq --arg files "$work/files" ".process.terminal = false | $2" "${3:-$work/config.json}" >"$work/bundles/$1/config.json"
}

inside() {
    local way=$1
    shift
    [ "$way" = hybrid ] || pure_v2
    work=$OUT/work
    mount -t tmpfs -o mode=755 tmpfs "$work"
    (cd "$work" && "$BERTH" spec)
    mkdir "$work/files"
    touch "$work"/files/{hostname,hosts,resolv.conf}
    bundle default '.process.args = ["/bin/true"]'
    bundle small '.process.args = ["/bin/true"]'
    bundle limited '.process.args = ["/bin/payload", "true"]'
    bundle hold '.process.args = ["/bin/payload", "hold"]'
    # What is Docker's own (its network's hook, its cgroup) or not on every host goes. The rest stays as recorded.
    # shellcheck disable=SC2016  # the variable is jq's
    bundle docker '.process.args = ["/bin/true"] | .root.path = "rootfs" | .hostname = "harbour"
        | del(.hooks, .linux.cgroupsPath) | .linux.resources |= { devices }
        | .mounts |= map(if .type == "bind" then .source |= sub("@FILES@"; $files) else . end)' \
        "$here/../../tests/data/docker/default/config.json"
    bundle docker-unfiltered 'del(.linux.seccomp)' "$work/bundles/docker/config.json"
    bundle calls '.process.args = ["/bin/payload", "calls", "20000"]' "$work/bundles/docker/config.json"
    bundle calls-unfiltered 'del(.linux.seccomp)' "$work/bundles/calls/config.json"
    # Nothing competes with what is measured, not even what must run on this machine. Not `exec`: this shell is the
    # namespace's first process and reaps the containers' processes.
    nice -n -20 "$DRIVER" --work "$work" --out "$OUT" --cgroups "$way" --prefix "$PREFIX" --rounds "${ROUNDS:-50}" \
        ${BENCH_FORCE:+--force} ${PROCESSOR_TIME:+--force --processor-time} "$@"
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
    exit
fi

if [ "$(id -u)" != 0 ]; then
    echo "error: only root can measure: containers are made as root" >&2
    exit 1
fi
BERTH=$(realpath "${BERTH:?}") DRIVER=$(realpath "${DRIVER:?}")
mkdir -p "${OUT:?}"/{bin,work}
OUT=$(realpath "$OUT")
PREFIX=bench-$$-
export BERTH DRIVER OUT PREFIX

"$here/programs.sh" "$OUT/bin"

peers=$("$here/peers.sh")
subjects=("berth=$BERTH")
for other in ${COMPARE:-}; do subjects+=("$other"); done
mapfile -t -O ${#subjects[@]} subjects <<<"$peers"
subjects+=("floor=$OUT/bin/floor")

# shellcheck disable=SC2317  # called by the trap
cleanup() {
    local left
    # Cgroups of containers that were killed with the namespace.
    find /sys/fs/cgroup -depth -type d -path "*/$PREFIX*" -exec rmdir {} + 2>/dev/null || true
    left=$(find /sys/fs/cgroup -type d -path "*/$PREFIX*" | head -n 3)
    [ -z "$left" ] || echo "warning: cgroups are left: $left" >&2
    rmdir "$OUT/work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

measure() {
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" --inside "$@"
}
rm -f "$OUT"/{report,report-hybrid}.md "$OUT"/{results,results-hybrid}.tsv "$OUT"/{plot,plot-hybrid}.svg
[ "${ONLY:-}" = hybrid ] || measure pure ${ONLY:+--only "$ONLY"} "${subjects[@]}"

# Where the host is hybrid, once more as it is, with those that can: the limits' files are v1's there.
if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] && [[ ,${ONLY:-hybrid}, = *,hybrid,* ]]; then
    able=()
    for subject in "${subjects[@]}"; do
        case $subject in
        berth* | runc*) able+=("$subject") ;;
        esac
    done
    measure hybrid --only run,cycle "${able[@]}"
    cat "$OUT/report-hybrid.md" >>"$OUT/report.md"
    rm "$OUT/report-hybrid.md"
fi
echo "$OUT/report.md, $OUT/plot.svg"
