# shellcheck shell=bash disable=SC2016,SC2154
# Podman without root, as a user of the place that apart.sh made; sourced by run.sh once per runtime. A host with cgroup
# v1 gives a user no cgroups: containers run without limits (vm/rootless.sh has those with systemd).
IMAGE=localhost/bb:1
if [[ ! -e $WORK/user ]]; then
    useradd -M -d "$WORK/user/home" -u 4321 tester
    # Ranges of other users stay: Docker's userns-remap has one.
    for file in /etc/subuid /etc/subgid; do sed -i /^tester:/d "$file" && echo tester:100000:65536 >>"$file"; done
    mkdir -p "$WORK"/user/{home,session}
    # The wrappers write to root's files.
    cp "$BERTH" "$WORK/user/berth"
    cp "$RUNC" "$WORK/user/control"
    cat >"$WORK/user/containers.conf" <<TOML
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "$IMAGE"
runtime_supports_nocgroup = ["berth"]
[engine.runtimes]
berth = ["$WORK/user/berth"]
control = ["$WORK/user/control"]
TOML
    chown -R tester: "$WORK/user"
fi
user() {
    setpriv --reuid tester --regid tester --init-groups --reset-env env PATH="$PATH" HOME="$WORK/user/home" \
        XDG_RUNTIME_DIR="$WORK/user/session" CONTAINERS_CONF="$WORK/user/containers.conf" "$@"
}
rootless() { user podman --runtime "$RUNTIME" "$@"; }
run() { rootless run --network none --name box "$@"; }
drop() { rootless rm -f -t 0 box; } >/dev/null 2>&1
rootless image exists "$IMAGE" || rootless import -q - "$IMAGE" <"$WORK/image.tar" >/dev/null

check 'info' '^true $' 'rootless info -f "{{.Host.Security.Rootless}}"'
check 'run, the maps, exit status' '^0 4321 1 1 100000 65536 7 $' \
    'run --rm $IMAGE sh -c "tr -s \" \" </proc/self/uid_map | sed \"s/^ //\"; exit 7"; echo $?'
check 'programs that do not start' '126 .*127 .*127 $' 'for program in /etc/passwd /nosuch nosuch; do run --rm $IMAGE $program 2>&1; echo $?; drop; done'
check 'run -it' '/dev/pts/0' 'script -qec "$(declare -f user rootless run); WORK=$WORK RUNTIME=$RUNTIME; run --rm -it $IMAGE sh -c '\''tty; sleep 1'\''" /dev/null'
drop
check 'run -d, logs' '^one $' 'run -d $IMAGE sh -c "echo one; sleep 1000" >/dev/null; sleep 1; rootless logs box'
check 'the state is in the directory of the user' '^1 $' 'ls -d $WORK/user/session/$([[ $RUNTIME == berth ]] && echo berth || echo runc)/*/state.json | wc -l'
check 'exec, -u, exit status' '^in uid=5.* 5 127 126 ' \
    'rootless exec box echo in; rootless exec -u 5 box id; rootless exec box sh -c "exit 5"; echo $?; for program in /nosuch /etc/passwd; do rootless exec box $program 2>/dev/null; echo $?; done'
check 'top, inspect' 'sleep 1000.*running' 'rootless top box; rootless inspect -f "{{.State.Status}}" box'
check 'healthcheck' '^0 $' 'drop; run -d --health-cmd "echo well" --health-interval disable $IMAGE sleep 1000 >/dev/null; rootless healthcheck run box >/dev/null; echo $?'
check 'kill, wait' '137 $' 'rootless kill -s KILL box >/dev/null; rootless wait box'
drop
check 'stop: SIGTERM' '3 $' 'run -d $IMAGE sh -c "trap \"exit 3\" TERM; while :; do sleep 0.1; done" >/dev/null; sleep 1; rootless stop box >/dev/null; rootless wait box'
drop
check '--userns keep-id, --privileged, --read-only, --tmpfs' '^uid=4321.*mounted.*Read-only' \
    'run --rm --userns keep-id $IMAGE id; run --rm --privileged $IMAGE sh -c "mount -t tmpfs x /tmp && echo mounted"; run --rm --read-only --tmpfs /t $IMAGE touch /new 2>&1'
drop
check '-v, --user' '^mine .*uid=1000' 'echo mine >$WORK/user/file; run --rm -v $WORK/user/file:/f $IMAGE cat /f; run --rm --user 1000 $IMAGE id'
check 'pod: shared namespaces' '^p gone $' \
    'rootless pod create --name p --network none --hostname p --infra-command "sleep 1000" >/dev/null; rootless run --rm --pod p $IMAGE hostname; rootless pod rm -f -t 0 p >/dev/null; rootless pod exists p || echo gone'
check 'build with RUN' 'built $' \
    'printf "FROM $IMAGE\nRUN echo built >/built\nCMD [\"cat\", \"/built\"]\n" | rootless build -q --network none --isolation oci -t built - >/dev/null 2>&1; run --rm localhost/built'
drop
rootless rmi -f localhost/built >/dev/null 2>&1
# Podman's own process keeps the user's namespaces.
user podman system migrate >/dev/null 2>&1
