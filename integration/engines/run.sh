#!/bin/bash
# Runs scenarios of Docker, containerd and Podman with berth and, as control, with runc, under engines that are started
# here in a place of their own (apart.sh). Prints a table; fails when berth does, or when something is left behind.
#
#   BERTH=path [ENGINES="docker podman-pods"] [ONLY=part] [RECORD=directory] integration/engines/run.sh
#
# ENGINES names files of scenarios, or all that begin so. ONLY selects scenarios by name; those that look at a container
# need the ones before them, which made it. RECORD keeps the command lines that the engines gave to berth (record.sh).
# shellcheck disable=SC2016,SC2317  # scenarios are text that `check` evaluates; the functions are theirs
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=integration/engines/apart.sh
. "$HERE/apart.sh"
# shellcheck source=integration/engines/engines.sh
. "$HERE/engines.sh"
# shellcheck source=integration/engines/record.sh
. "$HERE/record.sh"
: "${BERTH:?the binary under test}"
BERTH=$(realpath "$BERTH")
RUNC=${RUNC:-$(command -v runc)}
FILES=(docker-life docker-options docker-site docker-kept containerd cri podman-life podman-pods podman-rootless)
declare -A OUTCOME
ORDER=()

# A terminal around a function call; the command's output, without carriage returns.
on_terminal() {
    export -f docker ctr podman buildah on_terminal shows
    export RUNTIME BINARY DAEMON
    script -qec "bash -c $(printf '%q' "stty rows 30 cols 100; $1")" /dev/null | tr -d '\r'
}

# shows PATTERN COMMAND…: the command's output as soon as it matches, or as it is after 20 seconds.
shows() {
    local pattern=$1 output
    shift
    for _ in {1..100}; do
        output=$("$@" 2>&1)
        [[ $output =~ $pattern ]] && break
        sleep 0.2
    done
    echo "$output"
}

# check NAME PATTERN SCRIPT: the script's output, with its lines joined, matches the extended regular expression.
check() {
    local name="$FILE: $1" pattern=$2 output watch
    [[ $name == *"${ONLY:-}"* ]] || return 0
    [[ $RUNTIME != berth ]] || ORDER+=("$name")
    # What takes two minutes hangs. In this pid namespace all clients are ours.
    (read -r -t 120 <>"$WORK/never" || pkill -KILL -x 'docker|ctr|podman|buildah|script|sleep') &
    watch=$!
    output=$(eval "$3" 2>&1 </dev/null | tr '\n' ' ')
    kill $watch && wait $watch 2>/dev/null
    if [[ $output =~ $pattern ]]; then
        OUTCOME[$RUNTIME/$name]=ok
    else
        OUTCOME[$RUNTIME/$name]=FAIL
        printf '%s, %s: expected %s, got: %s\n' "$name" "$RUNTIME" "$pattern" "$output"
    fi
}

# impossible NAME REASON: a scenario that cannot run on this host.
impossible() {
    [[ $RUNTIME != berth ]] || echo "not run: $FILE: $1: $2"
}

# What is there besides the engines: mounts, processes, cgroups, containers' directories, network links.
present() {
    awk '{print "mount", $5}' /proc/self/mountinfo
    ps -e -o args= | sed 's/^/process /' | grep -vE '^process (ps -e|sed |tr |grep |sort|comm |containerd -c|[a-z/]*bash .*run.sh)'
    # Parents that engines name stay, with every runtime: those at the top, Podman's for conmon and, where Podman does
    # not look, for pods.
    find /sys/fs/cgroup/*/ -mindepth 2 -type d ! -name conmon -printf 'cgroup %p\n' |
        grep -vE '/(systemd|unified)/libpod_parent/[0-9a-f]{64}$'
    find /run "$WORK" -name state.json -o -name exec.fifo | sed 's/^/file /'
    ip -o link | awk '$2 ~ /^veth/ {print "link", $2}'
}

run_scenarios() {
    for RUNTIME in berth control; do
        BINARY=$WORK/bin/$RUNTIME
        for FILE in "${FILES[@]}"; do
            for wanted in ${ENGINES:-${FILES[*]}}; do
                if [[ $FILE == "$wanted" || $FILE == "$wanted"-* ]]; then
                    present | sort >"$WORK/before"
                    # shellcheck source=/dev/null
                    . "$HERE/$FILE.sh"
                    ONLY='' check 'nothing is left behind' '^$' \
                        'for _ in {1..25}; do left=$(present | sort | comm -13 "$WORK/before" -); [[ $left ]] || break; sleep 0.2; done; echo -n "$left"'
                    break
                fi
            done
        done
    done
}

print_table() {
    local name failed=0
    printf '\n%-62s %-6s %s\n' scenario berth runc
    for name in "${ORDER[@]}"; do
        printf '%-62s %-6s %s\n' "$name" "${OUTCOME[berth/$name]}" "${OUTCOME[control/$name]}"
        [[ ${OUTCOME[berth/$name]} == ok ]] || failed=$((failed + 1))
    done
    printf '%d scenarios, %d failed with berth\n' "${#ORDER[@]}" "$failed"
    [[ $failed == 0 ]]
}

if [[ ${1:-} == --inside ]]; then
    furnish
    mkfifo "$WORK/never"
    cd "$WORK" || exit
    make_image
    start_containerd
    run_scenarios
    print_table
    exit
fi
WORK=$(mktemp -d /var/tmp/engines.XXXXXX)
chmod 711 "$WORK"
# The distribution's engines, not what somebody put before them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export WORK BERTH RUNC HOME="$WORK/home" CONTAINERS_CONF="$WORK/containers.conf"
trap 'rm -rf --one-file-system "$WORK"' EXIT
make_wrappers
apart "$HERE/run.sh" --inside
status=$?
keep_record || status=1
exit $status
