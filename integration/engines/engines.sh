# shellcheck shell=bash
# The engines, their image and their clients; sourced by run.sh. All that they write is in $WORK or in the place that
# run.sh is in: that of apart.sh, or the test machine.

# How the files of the controllers are called, below /sys/fs/cgroup, and who makes cgroups.
if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    CGROUP=2 MEMORY=memory.max SWAP=memory.swap.max RESERVATION=memory.low QUOTA=cpu.max SHARES=cpu.weight
    CPUS=cpuset.cpus PIDS=pids.max
else
    CGROUP=1 MEMORY=memory/memory.limit_in_bytes SWAP=memory/memory.memsw.limit_in_bytes
    RESERVATION=memory/memory.soft_limit_in_bytes QUOTA=cpu/cpu.cfs_quota_us SHARES=cpu/cpu.shares
    CPUS=cpuset/cpuset.cpus PIDS=pids/pids.max
fi
DRIVER=cgroupfs
[[ ! -d /run/systemd/system ]] || DRIVER=systemd
export CGROUP MEMORY SWAP RESERVATION QUOTA SHARES CPUS PIDS DRIVER

DAEMON=docker
docker() { command docker -H "unix://$WORK/$DAEMON.sock" "$@"; }
ctr() { command ctr -a "$WORK/containerd.sock" "$@"; }
podman() { command podman --runtime "$RUNTIME" "$@"; }
# In the same store as `podman`.
buildah() { BUILDAH_RUNTIME="$WORK/bin/$RUNTIME" BUILDAH_ISOLATION=oci command buildah "$@"; }
compose() { DOCKER_HOST="unix://$WORK/$DAEMON.sock" command docker-compose -p fleet -f "$WORK/fleet/compose.yaml" "$@"; }
export DAEMON

# until_true SCRIPT: waits for the script to succeed, for at most 20 seconds, in the test machine 100.
until_true() {
    local begin=$SECONDS
    until eval "$1" >/dev/null 2>&1; do
        ((SECONDS - begin < 20 * SLOWNESS)) || { echo "waited in vain: $1"; return 1; }
        sleep 0.2
    done
}

# shows PATTERN COMMAND…: the command's output as soon as it matches, or as it is after that time.
shows() {
    local pattern=$1 output begin=$SECONDS
    shift
    until output=$("$@" 2>&1); [[ $output =~ $pattern ]] || ((SECONDS - begin >= 20 * SLOWNESS)); do sleep 0.2; done
    echo "$output"
}

# A root file system of busybox, with two users, as an archive.
make_image() {
    mkdir -p "$WORK/image"/{bin,etc,tmp,proc,sys,dev,root,home/sailor} "$WORK/shared"
    chmod 1777 "$WORK/image/tmp"
    cp "$(command -v busybox)" "$WORK/image/bin/busybox"
    for applet in $(busybox --list); do
        [[ $applet == busybox ]] || ln -s busybox "$WORK/image/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1001::/home/sailor:/bin/sh\n' >"$WORK/image/etc/passwd"
    printf 'root:x:0:\nsailors:x:1001:\ncrew:x:1002:sailor\n' >"$WORK/image/etc/group"
    printf '#!/bin/sh\nexec sleep 100000\n' >"$WORK/image/bin/pause" && chmod 755 "$WORK/image/bin/pause"
    tar -C "$WORK/image" -cf "$WORK/image.tar" .
    echo shared >"$WORK/shared/file"
    # The same in the form of `docker save`.
    cat >"$WORK/config.json" <<JSON
{"architecture": "$(dpkg --print-architecture)", "os": "linux", "config": {},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$(sha256sum "$WORK/image.tar" | cut -d ' ' -f 1)"]}}
JSON
    echo '[{"Config": "config.json", "RepoTags": ["bb:1"], "Layers": ["image.tar"]}]' >"$WORK/manifest.json"
    tar -C "$WORK" -cf "$WORK/saved.tar" image.tar config.json manifest.json && rm "$WORK/config.json"
}

start_containerd() {
    cat >"$WORK/containerd.toml" <<TOML
version = 2
root = "$WORK/containerd"
state = "$WORK/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$WORK/containerd.sock"
TOML
    setsid containerd -c "$WORK/containerd.toml" >>"$WORK/containerd.log" 2>&1 &
    echo $! >"$WORK/containerd.pid"
    until_true 'ctr version'
}

# stop_daemon NAME SIGNAL: waits for its end, also in a subshell, whose child the daemon is not.
stop_daemon() {
    local pid
    pid=$(cat "$WORK/$1.pid")
    kill -s "$2" "$pid"
    until_true "[[ ! -d /proc/$pid ]]"
}

# start_docker NAME FIELDS: a daemon with these fields of daemon.json, which `docker` then talks to.
start_docker() {
    DAEMON=$1
    cat >"$WORK/$DAEMON.json" <<JSON
{"data-root": "$WORK/$DAEMON", "exec-root": "$WORK/$DAEMON-exec", "pidfile": "$WORK/$DAEMON.pid",
 "hosts": ["unix://$WORK/$DAEMON.sock"], "containerd": "$WORK/containerd.sock", "containerd-namespace": "$DAEMON",
 "features": {"buildkit": false}, $2,
 "runtimes": {"berth": {"path": "$WORK/bin/berth"}, "control": {"path": "$WORK/bin/control"}}}
JSON
    resume_docker
    docker image inspect bb:1 >/dev/null 2>&1 || docker import "$WORK/image.tar" bb:1 >/dev/null
}

# Starts the daemon again, with what it had.
resume_docker() {
    setsid dockerd --config-file "$WORK/$DAEMON.json" >>"$WORK/$DAEMON.log" 2>&1 &
    until_true 'docker version'
}

# Removes all containers and ends the daemon.
end_docker() {
    # shellcheck disable=SC2046
    docker rm -f -v $(docker ps -aq) >/dev/null 2>&1
    stop_daemon "$DAEMON" TERM
    # What Docker mounts for --network host stays when it ends, and its directory when it is killed.
    umount "$WORK/$DAEMON-exec/netns"/* "$WORK/$DAEMON" 2>/dev/null
}

start_podman() {
    local nocgroup='"berth"'
    [[ $RUNC != */crun ]] || nocgroup='"berth", "control"'
    # In files: timers of health checks call Podman without options. Podman asks for limits that root without
    # CAP_SYS_RESOURCE cannot have, and keeps a list of runtimes that can do without cgroups.
    mkdir -p /etc/containers
    cat >/etc/containers/storage.conf <<TOML
[storage]
driver = "overlay"
graphroot = "$WORK/podman"
runroot = "$WORK/podman-run"
TOML
    cat >/etc/containers/containers.conf <<TOML
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "$DRIVER"
infra_image = "localhost/pause:1"
events_logger = "file"
runtime_supports_nocgroup = [$nocgroup]
[engine.runtimes]
berth = ["$WORK/bin/berth"]
control = ["$WORK/bin/control"]
TOML
    podman image exists bb:1 && return
    podman import -q "$WORK/image.tar" bb:1 >/dev/null
    podman import -q -c 'ENTRYPOINT ["/bin/pause"]' "$WORK/image.tar" pause:1 >/dev/null
}

end_podman() {
    podman pod rm -af -t 0 >/dev/null 2>&1
    podman rm -af -t 0 >/dev/null 2>&1
    podman volume rm -af >/dev/null 2>&1
    # Podman mounts the directory of its network namespaces on itself.
    umount /run/netns 2>/dev/null
}
