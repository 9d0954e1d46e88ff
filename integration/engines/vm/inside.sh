#!/bin/bash
# inside.sh ENGINE - in the test machine: the scenarios of one engine with each of RUNTIMES (berth, control), and a table.
# Fails when berth does, or when containers leave something behind.
# shellcheck disable=SC2317  # the scenarios call these functions
set -u
RUNTIMES=${RUNTIMES:-berth control}
ENGINE=$1 FIRST=${RUNTIMES%% *} HERE=/job/engines WORK=/job/work BERTH=/job/bin/berth RUNC=$(command -v runc)
export HERE WORK BERTH RUNC
SCENARIOS=$HERE/vm/$ENGINE.sh
[[ -e $SCENARIOS ]] || SCENARIOS=$HERE/$ENGINE.sh
declare -A OUTCOME
ORDER=()
mkdir -p "$WORK/bin"
ln -s "$BERTH" "$WORK/bin/berth"
ln -s "$RUNC" "$WORK/bin/control"
cp /var/lib/berth-test/busybox.tar "$WORK/image.tar"
cd "$WORK" || exit

# check NAME PATTERN SCRIPT: the script's output, with its lines joined, matches the extended regular expression.
check() {
    local name="$ENGINE: $1" pattern=$2 output
    [[ $name == *"${ONLY:-}"* ]] || return 0
    [[ $RUNTIME != "$FIRST" ]] || ORDER+=("$name")
    output=$(eval "$3" 2>&1 </dev/null | tr '\n' ' ')
    if [[ $output =~ $pattern ]]; then
        OUTCOME[$RUNTIME/$name]=ok
    else
        OUTCOME[$RUNTIME/$name]=FAIL
        printf '%s, %s: expected %s, got: %s\n' "$name" "$RUNTIME" "$pattern" "$output"
    fi
}

# impossible NAME REASON: a scenario that cannot run here.
impossible() { [[ $RUNTIME != "$FIRST" ]] || echo "not run: $ENGINE: $1: $2"; }

# until_true SCRIPT: waits for the script to succeed, for at most a minute.
until_true() {
    for _ in {1..120}; do
        eval "$1" >/dev/null 2>&1 && return
        sleep 0.5
    done
    echo "waited in vain: $1"
    return 1
}

# shows PATTERN COMMAND…: the command's output as soon as it matches, or as it is after a minute.
shows() {
    local pattern=$1 output
    shift
    for _ in {1..60}; do
        output=$("$@" 2>&1)
        [[ $output =~ $pattern ]] && break
        sleep 1
    done
    echo "$output"
}

# A terminal around a command; its output, without carriage returns.
on_terminal() { script -qec "stty rows 30 cols 100; $1" /dev/null </dev/null | tr -d '\r'; }

# Podman of root and of a user: both runtimes, and a container `box`.
podman_with_runtimes() {
    cat >containers.conf <<TOML
[containers]
[engine]
infra_image = "localhost/busybox"
runtime = "$RUNTIME"
runtime_supports_nocgroup = ["berth"]
[engine.runtimes]
berth = ["$BERTH"]
control = ["$RUNC"]
TOML
    run() { podman run --network none --name box "$@"; }
    drop() { podman rm -f -t 0 box >/dev/null 2>&1; }
    field() { podman inspect -f "{{$1}}" box; }
    scope() { echo "libpod-$(field .Id).scope"; }
}

# What containers must not leave: units, cgroups, processes, mounts, files under --root.
left() {
    systemctl list-units --all --plain --no-legend 'docker-*.scope' 'libpod-*.scope' 'cri-*.scope' 'ctr-*.scope'
    find /sys/fs/cgroup -type d \( -name '*docker-*' -o -name '*libpod-*' -o -name 'cri-*' -o -name 'ctr-*' \)
    pgrep -a -x 'sleep|tail|conmon|containerd-shim.*'
    grep -E ' (overlay|shm) ' /proc/self/mounts
    find /run/berth /run/user/1000/berth /run/containerd/runc -name state.json
}

for RUNTIME in $RUNTIMES; do
    BINARY=$WORK/bin/$RUNTIME
    export RUNTIME BINARY
    # shellcheck source=/dev/null
    . "$SCENARIOS"
    # shellcheck disable=SC2016
    ONLY='' check 'nothing is left behind' '^$' \
        'for _ in {1..20}; do found=$(left 2>/dev/null); [[ $found ]] || break; sleep 0.5; done; echo -n "$found"'
done

printf '\n%-64s %-6s %s\n' "scenario, in the test machine" berth runc
failed=0
for name in "${ORDER[@]}"; do
    printf '%-64s %-6s %s\n' "$name" "${OUTCOME[berth/$name]:--}" "${OUTCOME[control/$name]:--}"
    [[ ${OUTCOME[berth/$name]:-ok} == ok ]] || failed=$((failed + 1))
done
printf '%d scenarios, %d failed with berth\n' "${#ORDER[@]}" "$failed"
[[ $failed == 0 ]]
