#!/bin/bash
# Runs scenarios of Docker, containerd and Podman with berth and, as control, with runc, under engines that are started
# here in a place of their own: that of apart.sh, or the test machine (--machine, for vm.sh). Prints a table; fails when
# berth does, or when something is left behind.
#
#   BERTH=path [ENGINES="docker podman-pods"] [ONLY=part] [RUNTIMES=berth] [RUNC=path] [RECORD=directory] run.sh
#
# ENGINES names files of scenarios, or all that begin so. ONLY selects scenarios by name; those that look at a container
# need the ones before them, which made it. RUNC is the control. RECORD keeps the command lines that the engines gave to
# berth (record.sh).
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
RUNTIMES=${RUNTIMES:-berth control}
FIRST=${RUNTIMES%% *}
FILES=(docker-life docker-options docker-site docker-kept containerd-ctr cri podman-life podman-pods podman-rootless)
# How long things take: a moment in seconds, and how many times longer than usual something may take.
BEAT=1 SLOWNESS=1
[[ ${1:-} != --machine ]] || { BEAT=4 SLOWNESS=5; }
[[ $DRIVER != systemd ]] || FILES+=(docker-systemd containerd-systemd podman-systemd)
export BEAT SLOWNESS
declare -A OUTCOME
ORDER=()

# A terminal around a function call; the command's output, without carriage returns.
on_terminal() {
    export -f docker ctr podman buildah on_terminal shows
    export RUNTIME BINARY DAEMON
    # Other shells do not pass functions on.
    SHELL=/bin/bash script -qec "stty rows 30 cols 100; $1" /dev/null | tr -d '\r'
}

# check NAME PATTERN SCRIPT: the script's output, with its lines joined, matches the extended regular expression.
check() {
    local name="$FILE: $1" pattern=$2 output watch
    [[ $name == *"${ONLY:-}"* ]] || return 0
    [[ $RUNTIME != "$FIRST" ]] || ORDER+=("$name")
    # What takes two minutes hangs. In this pid namespace all clients are ours.
    (read -r -t $((120 * SLOWNESS)) <>"$WORK/never" || pkill -KILL -x 'docker|ctr|podman|buildah|script|sleep') &
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
    [[ $RUNTIME != "$FIRST" ]] || echo "not run: $FILE: $1: $2"
}

# What is there besides the engines: mounts, processes, cgroups, units, containers' directories, network links.
present() {
    awk '{print "mount", $5}' /proc/self/mountinfo
    # Threads of the kernel and workers of udev come and go.
    ps -e -o args= | sed 's/^/process /' |
        grep -vE '^process (ps -e|sed |tr |grep |sort|comm |containerd -c|[a-z/]*bash .*run.sh|\[|\(udev-worker\))'
    # Parents that engines name stay, with every runtime: slices, those at the top, Podman's for conmon and, where Podman
    # does not look, for pods.
    if [[ $CGROUP == 2 ]]; then
        find /sys/fs/cgroup -mindepth 2 -type d ! -path '*/system.slice/systemd-*' ! -name conmon -printf 'cgroup %p\n' |
            grep -vE '/[a-z-]*\.slice$'
    else
        find /sys/fs/cgroup/*/ -mindepth 2 -type d ! -name conmon -printf 'cgroup %p\n' |
            grep -vE '/(systemd|unified)/libpod_parent/[0-9a-f]{64}$'
    fi
    if [[ $DRIVER == systemd ]]; then
        { systemctl list-units --all --plain; as-user systemctl --user list-units --all --plain; } |
            sed -nE 's/^(\S*([0-9a-f]{64}\S*|\.scope)) .*/unit \1/p'
    fi
    find /run "$WORK" -name state.json -o -name exec.fifo | sed 's/^/file /'
    ip -o link | awk '$2 ~ /^veth/ {print "link", $2}'
}

run_scenarios() {
    for RUNTIME in $RUNTIMES; do
        BINARY=$WORK/bin/$RUNTIME
        for FILE in "${FILES[@]}"; do
            for wanted in ${ENGINES:-${FILES[*]}}; do
                if [[ $FILE == "$wanted" || $FILE == "$wanted"-* ]]; then
                    present 2>/dev/null | sort >"$WORK/before"
                    # shellcheck source=/dev/null
                    . "$HERE/$FILE.sh"
                    ONLY='' check 'nothing is left behind' '^$' \
                        'for ((i = 0; i < 25 * SLOWNESS; i++)); do left=$(present 2>/dev/null | sort | comm -13 "$WORK/before" -); [[ $left ]] || break; sleep 0.2; done; echo -n "$left"'
                    break
                fi
            done
        done
    done
}

print_table() {
    local name failed=0 other=''
    printf '\n%-74s %-6s %s\n' scenario berth "${RUNC##*/}"
    for name in "${ORDER[@]}"; do
        printf '%-74s %-6s %s\n' "$name" "${OUTCOME[berth/$name]:--}" "${OUTCOME[control/$name]:--}"
        [[ ${OUTCOME[berth/$name]:-ok} == ok ]] || failed=$((failed + 1))
        # A control that fails is said, but does not make berth wrong.
        [[ ${OUTCOME[control/$name]:-ok} == ok ]] || other+="$name; "
    done
    printf '%d scenarios, %d failed with berth\n' "${#ORDER[@]}" "$failed"
    [[ ! $other ]] || echo "failed with ${RUNC##*/}: ${other%; }"
    [[ $failed == 0 ]]
}

all() {
    mkfifo "$WORK/never"
    cd "$WORK" || exit
    make_image
    start_containerd
    run_scenarios
    stop_daemon containerd TERM
    print_table
}

case ${1:-} in
--inside)
    furnish
    all
    exit
    ;;
--machine)
    WORK=/job/work
    mkdir -p "$WORK/home"
    export WORK BERTH RUNC HOME="$WORK/home"
    make_wrappers
    # The manager of the user, and its bus, are there all the time.
    as-user busctl --user list >/dev/null
    all
    status=$?
    keep_record || status=1
    # For the table of vm.sh.
    for name in "${ORDER[@]}"; do
        for RUNTIME in $RUNTIMES; do printf '%s\t%s\t%s\n' "$name" "$RUNTIME" "${OUTCOME[$RUNTIME/$name]}"; done
    done >/job/out/outcomes
    exit $status
    ;;
esac
WORK=$(mktemp -d /var/tmp/engines.XXXXXX)
chmod 711 "$WORK"
# The distribution's engines, not what somebody put before them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export WORK BERTH RUNC HOME="$WORK/home"
trap 'rm -rf --one-file-system "$WORK"' EXIT
make_wrappers
apart "$HERE/run.sh" --inside
status=$?
keep_record || status=1
exit $status
