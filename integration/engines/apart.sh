# shellcheck shell=bash
# A place of its own for what the engines do to a host: sourced by run.sh.
#
# Mounts, processes, network and /etc, /run, /var/lib, /dev/shm are the namespaces' own, cgroups are below one of our
# own that looks like the root. The host stays as it was, and what is left can be told from what others make.

# apart COMMAND…: runs the command there; fails also when cgroups are left that hold processes.
apart() {
    local name=/${WORK##*/} hierarchy status=0
    for hierarchy in /sys/fs/cgroup/*/; do
        mkdir "$hierarchy$name" || return
        for file in cpuset.cpus cpuset.mems; do
            [[ ! -e $hierarchy$file ]] || cat "$hierarchy$file" >"$hierarchy$name/$file"
        done
    done
    (
        for hierarchy in /sys/fs/cgroup/*/; do echo $BASHPID >"$hierarchy$name/cgroup.procs"; done
        exec unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child --mount-proc -- "$@"
    ) &
    # unshare ignores other signals; with it everything inside ends.
    trap 'kill -KILL $!' INT TERM
    wait $! || status=$?
    trap - INT TERM
    # The last processes of the namespace may still be on their way out.
    for _ in {1..50}; do
        find /sys/fs/cgroup/*"$name" -depth -type d -exec rmdir {} + 2>/dev/null && return $status
        sleep 0.1
    done
    echo "left behind: $(find /sys/fs/cgroup/*"$name" -type d)"
    return 1
}

# Called first inside.
furnish() {
    local hierarchy options directory
    ip link set lo up
    # A cgroup namespace shows only in mounts that are made in it.
    while read -r hierarchy options; do
        umount "$hierarchy"
        if [[ $options == v2 ]]; then
            mount -t cgroup2 cgroup2 "$hierarchy"
        else
            mount -t cgroup -o "$options" cgroup "$hierarchy"
        fi
    done < <(awk '{for (i = 7; $i != "-"; i++);}
        $(i + 1) == "cgroup2" {print $5, "v2"}
        $(i + 1) == "cgroup" {sub(/^rw,/, "", $(i + 3)); print $5, ($(i + 3) ~ /^name=/ ? "none," : "") $(i + 3)}' /proc/self/mountinfo)
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs tmpfs /dev/shm
    mkdir /run/lock
    for directory in /etc /var/lib; do
        mkdir -p "$WORK/host$directory"/{upper,work}
        mount -t overlay -o "lowerdir=$directory,upperdir=$WORK/host$directory/upper,workdir=$WORK/host$directory/work" overlay "$directory"
    done
    rm -rf /etc/docker /var/lib/containers
    mkdir -p /etc/docker "$HOME"
}
