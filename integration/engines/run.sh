#!/bin/bash
# Runs the scenarios of docker.sh, containerd.sh and podman.sh with berth and, as control, with runc as the runtime of
# engines that are started here, with directories and sockets of their own. Prints a table; fails when berth does.
#
#   BERTH=path [ENGINES="docker podman"] [ONLY=part] integration/engines/run.sh
#
# ONLY selects by name; scenarios that look at a container need those before them, which made it.
set -u
cd "$(dirname "$0")" || exit 1
: "${BERTH:?the binary under test}"
RUNC=${RUNC:-$(command -v runc)}
WORK=$(mktemp -d /var/tmp/engines.XXXXXX)
declare -A OUTCOME
ORDER=()
PIDS=()

docker() { /usr/bin/docker -H "unix://$WORK/docker.sock" "$@"; }
ctr() { command ctr -a "$WORK/containerd.sock" "$@"; }
podman() {
    command podman --root "$WORK/podman" --runroot "$WORK/podman-run" --tmpdir "$WORK/podman-tmp" \
        --cgroup-manager cgroupfs --runtime "$RUNTIME" "$@"
}

# A terminal around a function call; the command's output, without carriage returns.
on_terminal() {
    export -f docker ctr podman on_terminal
    export WORK BINARY RUNTIME
    script -qec "bash -c $(printf '%q' "stty rows 30 cols 100; $1")" /dev/null </dev/null | tr -d '\r'
}

# check NAME PATTERN SCRIPT: the script's output, with its lines joined, matches the extended regular expression.
check() {
    local name="$ENGINE: $1" pattern=$2 output
    [[ $name == *"${ONLY:-}"* ]] || return 0
    [[ $RUNTIME != berth ]] || ORDER+=("$name")
    output=$(eval "$3" 2>&1 | tr '\n' ' ')
    if [[ $output =~ $pattern ]]; then
        OUTCOME[$RUNTIME/$name]=ok
    else
        OUTCOME[$RUNTIME/$name]=FAIL
        printf '%s, %s: expected %s, got: %s\n' "$name" "$RUNTIME" "$pattern" "$output"
    fi
}

# until_true SCRIPT: waits for the script to succeed, for at most 20 seconds.
until_true() {
    for _ in {1..100}; do
        eval "$1" >/dev/null 2>&1 && return
        sleep 0.2
    done
    echo "waited in vain: $1"
}

start_engines() {
    mkdir -p "$WORK/image"/{bin,etc,tmp,proc,sys,dev,root,home/sailor}
    chmod 1777 "$WORK/image/tmp"
    cp "$(command -v busybox)" "$WORK/image/bin/busybox"
    for applet in $(busybox --list); do
        [[ $applet == busybox ]] || ln -s busybox "$WORK/image/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1001::/home/sailor:/bin/sh\n' >"$WORK/image/etc/passwd"
    printf 'root:x:0:\nsailors:x:1001:\ncrew:x:1002:sailor\n' >"$WORK/image/etc/group"
    printf "#!/bin/sh\nexec sleep 100000\n" >"$WORK/image/bin/pause" && chmod 755 "$WORK/image/bin/pause"
    tar -C "$WORK/image" -cf "$WORK/image.tar" .

    cat >"$WORK/containerd.toml" <<TOML
version = 2
root = "$WORK/containerd"
state = "$WORK/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$WORK/containerd.sock"
TOML
    cat >"$WORK/docker.json" <<JSON
{"data-root": "$WORK/docker", "exec-root": "$WORK/docker-exec", "pidfile": "$WORK/docker.pid",
 "hosts": ["unix://$WORK/docker.sock"], "containerd": "$WORK/containerd.sock", "iptables": false, "bridge": "none",
 "features": {"buildkit": false}, "runtimes": {"berth": {"path": "$BERTH"}, "control": {"path": "$RUNC"}}}
JSON
    # Podman asks for limits that root without CAP_SYS_RESOURCE cannot have.
    cat >"$WORK/containers.conf" <<TOML
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
infra_image = "localhost/pause:1"
events_logger = "file"
runtime_supports_nocgroup = ["berth"]
[engine.runtimes]
berth = ["$BERTH"]
control = ["$RUNC"]
TOML
    export CONTAINERS_CONF="$WORK/containers.conf"
    setsid containerd -c "$WORK/containerd.toml" >"$WORK/containerd.log" 2>&1 &
    PIDS+=($!)
    until_true 'ctr version'
    setsid dockerd --config-file "$WORK/docker.json" >"$WORK/docker.log" 2>&1 &
    PIDS+=($!)
    until_true 'docker version'
    docker import "$WORK/image.tar" bb:1 >/dev/null
    docker save bb:1 -o "$WORK/saved.tar" && ctr image import "$WORK/saved.tar" >/dev/null
    RUNTIME=berth podman import -q "$WORK/image.tar" bb:1 >/dev/null
    RUNTIME=berth podman import -q -c 'ENTRYPOINT ["/bin/pause"]' "$WORK/image.tar" pause:1 >/dev/null
}

stop_engines() {
    local ids
    # shellcheck disable=SC2086
    ids=$(docker ps -aq) && [[ -n $ids ]] && docker rm -f $ids >/dev/null
    RUNTIME=berth podman pod rm -af -t 0 >/dev/null 2>&1
    RUNTIME=berth podman rm -af -t 0 >/dev/null 2>&1
    for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do
        kill "${PIDS[i]}" 2>/dev/null
        wait "${PIDS[i]}" 2>/dev/null
    done
    awk -v work="$WORK/" 'index($2, work) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l
    rm -rf "$WORK"
    find /sys/fs/cgroup/*/{docker,libpod_parent,default,mine} -depth -type d -exec rmdir {} + 2>/dev/null
}

trap stop_engines EXIT
trap 'exit 130' INT TERM
start_engines
for RUNTIME in berth control; do
    BINARY=$BERTH
    [[ $RUNTIME == berth ]] || BINARY=$RUNC
    for ENGINE in ${ENGINES:-docker containerd podman}; do
        # shellcheck source=/dev/null
        . "./$ENGINE.sh"
    done
done

printf '\n%-52s %-6s %s\n' scenario berth runc
failed=0
for name in "${ORDER[@]}"; do
    printf '%-52s %-6s %s\n' "$name" "${OUTCOME[berth/$name]}" "${OUTCOME[control/$name]}"
    [[ ${OUTCOME[berth/$name]} == ok ]] || failed=$((failed + 1))
done
printf '%d scenarios, %d failed with berth\n' "${#ORDER[@]}" "$failed"
[[ $failed == 0 ]]
