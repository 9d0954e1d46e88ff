#!/bin/bash
# demo.sh - two containers from start to end, for `make demo`; every command is shown as it runs.
#
#   BERTH   the runtime to show
#
# Exits with an error if a container does not get what it was promised.
set -euo pipefail

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-demo.XXXXXX")
first=demo-$$-first second=demo-$$-second

cleanup() {
    local id
    for id in "$first" "$second"; do
        berth delete --force "$id" >/dev/null 2>&1 || true
    done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir "$work/bin"
ln -s "$(realpath "$(command -v "${BERTH:?}")")" "$work/bin/berth"
export PATH=$work/bin:$PATH

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() {
    printf '%s$ %s%s\n' "$bold" "${*@Q}" "$plain" | sed "s/'\([A-Za-z0-9./=:_-]*\)'/\1/g"
    "$@"
}
die() {
    echo "demo: $*" >&2
    exit 1
}

# bundle NAME FILTER: a bundle with busybox in it; FILTER (jq) changes the default configuration.
bundle() {
    local rootfs=$work/$1/rootfs
    mkdir -p "$rootfs"/{bin,dev,etc,proc,root,sys,tmp}
    cp "$(command -v busybox)" "$rootfs/bin/busybox"
    chroot "$rootfs" /bin/busybox --install -s /bin
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'guest:x:1000:1000:guest:/:/bin/sh' >"$rootfs/etc/passwd"
    printf '%s\n' 'root:x:0:' 'guest:x:1000:' >"$rootfs/etc/group"
    (cd "$work/$1" && berth spec && jq ".process.terminal = false | $2" config.json >new.json && mv new.json config.json)
}

# Where the machine has swap, the container gets none of it: it would only put off the end.
swap='.'
[ "$(wc -l </proc/swaps)" -le 1 ] || swap='.linux.resources.memory.swap = 16777216'

title "A bundle: a directory with a root file system (here busybox) and a config.json"
bundle first '.hostname = "harbour" | .process.user = { uid: 1000, gid: 1000 }
    | .process.args = ["/bin/sh", "/look"]
    | .linux.resources.memory = { limit: 16777216 } | .linux.resources.pids = { limit: 8 } | '"$swap"
cat >"$work/first/rootfs/look" <<'LOOK'
echo "-- hostname";     hostname
echo "-- user";         id
echo "-- processes";    ps
echo "-- mounts";       mount
echo "-- capabilities"; grep Cap /proc/self/status
echo "-- no new privileges, seccomp"; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status
LOOK
cd "$work/first"
show ls -p .
show jq -c '.hostname, .process.user, .process.capabilities.bounding, .linux.resources.memory, .linux.resources.pids' config.json

title "What a process sees in the container"
show berth run "$first"

# rerun COMMAND: the same bundle with another command; its exit status in $status, its output in $work/said.
rerun() {
    jq --arg command "$1" '.process.args = ["/bin/sh", "-c", $command]' config.json >new.json && mv new.json config.json
    show jq -c .process.args config.json
    status=0
    show berth run "$first" >"$work/said" 2>&1 || status=$?
    cat "$work/said"
    echo "exit status $status"
}

title "A pids limit of 8: a ninth process is refused"
rerun 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'
grep -q "can't fork" "$work/said" || die "more processes ran than the limit allows"

title "A memory limit of 16 MiB: a process that asks for more is killed"
rerun 'exec tail /dev/zero'
[ "$status" = 137 ] || die "the process should have been killed (exit status 137)"
grep -q "out of memory" "$work/said" || die "the runtime should have said why"

title "A second container, step by step"
bundle second '.hostname = "second" | .process.args = ["sleep", "1000"]'
cd "$work/second"
expect() {
    local now
    now=$(berth state "$second" | jq -r .status)
    [ "$now" = "$1" ] || die "the container should be $1 and is $now"
}
show berth create "$second"
show berth state "$second"
expect created
show berth start "$second"
expect running
show berth list
show berth exec "$second" ps
# shellcheck disable=SC2016  # for the shell in the container
show berth exec --user 1000:1000 --env PORT=80 "$second" sh -c 'id; echo "port $PORT"'
show berth pause "$second"
expect paused
show berth resume "$second"
expect running
show berth kill "$second" KILL
for _ in $(seq 100); do
    [ "$(berth state "$second" | jq -r .status)" != stopped ] || break
    sleep 0.05
done
show berth state "$second"
expect stopped
show berth delete "$second"
if berth state "$second" >/dev/null 2>&1; then die "the container is still there"; fi

title "Nothing is left: no mount, no cgroup"
left=$(grep -e "$first" -e "$second" -e "$work" /proc/mounts || true
    find /sys/fs/cgroup -name "*$first*" -o -name "*$second*")
[ -z "$left" ] || die "left behind: $left"
