# shellcheck shell=bash disable=SC2016,SC2154
# Podman without root, as the user `tester`; sourced by run.sh once per runtime. A host with cgroup v1 gives a user no
# cgroups: containers run without limits. In the test machine they have those of the user's systemd.
IMAGE=localhost/bb:1
if [[ $DRIVER == systemd ]]; then
    SESSION=/run/user/1000 USER_HOME=/home/tester
    user() { as-user "$@"; }
else
    SESSION=$WORK/user/session USER_HOME=$WORK/user/home
    user() {
        setpriv --reuid tester --regid tester --init-groups --reset-env env PATH="$PATH" HOME="$USER_HOME" \
            XDG_RUNTIME_DIR="$SESSION" "$@"
    }
fi
if [[ ! -e $WORK/user ]]; then
    id tester >/dev/null 2>&1 || useradd -M -d "$USER_HOME" -u 4321 tester
    # Ranges of other users stay: Docker's userns-remap has one.
    for file in /etc/subuid /etc/subgid; do sed -i /^tester:/d "$file" && echo tester:100000:65536 >>"$file"; done
    mkdir -p "$WORK/user" "$SESSION" "$USER_HOME/.config/containers"
    # The wrappers write to root's files.
    cp "$BERTH" "$WORK/user/berth"
    cp "$RUNC" "$WORK/user/control"
    cat >"$USER_HOME/.config/containers/containers.conf" <<TOML
[containers]
default_ulimits = []
[engine]
cgroup_manager = "$DRIVER"
events_logger = "file"
infra_image = "localhost/pause:1"
runtime_supports_nocgroup = ["berth"$([[ $RUNC != */crun ]] || echo ', "control"')]
[engine.runtimes]
berth = ["$WORK/user/berth"]
control = ["$WORK/user/control"]
TOML
    chown -R tester: "$WORK/user" "$USER_HOME/.config"
fi
rootless() { user podman --runtime "$RUNTIME" "$@"; }
run() { rootless run --network none --name box "$@"; }
drop() { rootless rm -f -t 0 box; } >/dev/null 2>&1
field() { rootless inspect -f "{{$1}}" box; }
if ! rootless image exists "$IMAGE" 2>/dev/null; then
    rootless import -q - "$IMAGE" <"$WORK/image.tar" >/dev/null
    rootless import -q -c 'ENTRYPOINT ["/bin/pause"]' - localhost/pause:1 <"$WORK/image.tar" >/dev/null
fi

check 'info' '^true $' 'rootless info -f "{{.Host.Security.Rootless}}"'
check 'run, the maps, exit status' "^0 $(id -u tester) 1 1 100000 65536 7 $" \
    'run --rm $IMAGE sh -c "tr -s \" \" </proc/self/uid_map | sed \"s/^ //\"; exit 7"; echo $?'
check 'programs that do not start' '126 .*127 .*127 $' 'for program in /etc/passwd /nosuch nosuch; do run --rm $IMAGE $program 2>&1; echo $?; drop; done'
check 'run -it' '/dev/pts/0' 'script -qec "$(declare -f user rootless run); SESSION=$SESSION USER_HOME=$USER_HOME RUNTIME=$RUNTIME; run --rm -it $IMAGE sh -c '\''tty; sleep 1'\''" /dev/null'
drop
check 'run -d, logs' '^one $' 'run -d $IMAGE sh -c "echo one; sleep 1000" >/dev/null; sleep $BEAT; rootless logs box'
check 'the state is in the directory of the user' '^1 $' 'find $SESSION/$([[ $RUNTIME == berth ]] && echo berth || echo ${RUNC##*/}) -name state.json -o -name status | wc -l'
check 'exec, -u, exit status' '^in uid=5.* 5 127 126 ' \
    'rootless exec box echo in; rootless exec -u 5 box id; rootless exec box sh -c "exit 5"; echo $?; for program in /nosuch /etc/passwd; do rootless exec box $program 2>/dev/null; echo $?; done'
check 'top, inspect' 'sleep 1000.*running' 'rootless top box; field .State.Status'
check 'healthcheck' '^0 $' 'drop; run -d --health-cmd "echo well" --health-interval disable $IMAGE sleep 1000 >/dev/null; rootless healthcheck run box >/dev/null; echo $?'
check 'kill, wait' '137 $' 'rootless kill -s KILL box >/dev/null; rootless wait box'
drop
check 'stop: SIGTERM' '3 $' 'run -d $IMAGE sh -c "trap \"exit 3\" TERM; while :; do sleep 0.1; done" >/dev/null; sleep $BEAT; rootless stop box >/dev/null; rootless wait box'
drop
check '--userns keep-id, --privileged, --read-only, --tmpfs' "^uid=$(id -u tester).*mounted.*Read-only" \
    'run --rm --userns keep-id $IMAGE id; run --rm --privileged $IMAGE sh -c "mount -t tmpfs x /tmp && echo mounted"; run --rm --read-only --tmpfs /t $IMAGE touch /new 2>&1'
drop
check '-v, --user' '^mine .*uid=1000' 'echo mine >$WORK/user/file; run --rm -v $WORK/user/file:/f $IMAGE cat /f; run --rm --user 1000 $IMAGE id'
check 'pod: shared namespaces' '^p gone $' \
    'rootless pod create --name p --network none --hostname p >/dev/null; rootless run --rm --pod p $IMAGE hostname; rootless pod rm -f -t 0 p >/dev/null; rootless pod exists p || echo gone'
if [[ $DRIVER == systemd ]]; then
    check 'run -d with limits: container and unit of the user' '67108864 50000 100000 50 .*MemoryMax=67108864' \
        'run -d --memory 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 $IMAGE sleep 1000 >/dev/null; rootless exec box sh -c "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max"; user systemctl --user show libpod-$(field .Id).scope -p MemoryMax'
    check 'stats' '[1-9].* / 67.11MB' 'rootless stats --no-stream --format "{{.PIDs}} {{.MemUsage}}" box'
    check 'pause, unpause' '^paused .*running $' 'rootless pause box >/dev/null; field .State.Status; rootless unpause box >/dev/null; field .State.Status'
    check 'update' '33554432 ' 'rootless update --memory 32m --memory-swap 32m box >/dev/null; rootless exec box cat /sys/fs/cgroup/memory.max'
    check 'limits outlast daemon-reload' '33554432 50000 ' \
        'user systemctl --user daemon-reload; sleep $BEAT; rootless exec box sh -c "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"'
    check 'exec -it' '/dev/pts/[0-9]' 'script -qec "$(declare -f user rootless); RUNTIME=$RUNTIME; rootless exec -it box tty" /dev/null'
    drop
    check 'OOM: exit status, OOMKilled' '^137 true $' 'run --memory 16m --memory-swap 16m $IMAGE tail /dev/zero; echo $?; shows true field .State.OOMKilled'
    drop
    check 'healthcheck by a timer' '^healthy ' \
        'run -d --health-cmd "echo well" --health-interval 2s $IMAGE sleep 1000 >/dev/null; shows ^healthy field .State.Health.Status'
    drop
    check '--systemd=always: the cgroup is its own' '^made tmpfs' \
        'run --rm --systemd=always $IMAGE sh -c "mkdir /sys/fs/cgroup/child && echo made; awk \"\\\$2 == \\\"/run\\\" {print \\\$1}\" /proc/mounts"'
    drop
    check '--cgroups=split' '/libpod-payload' \
        'user systemd-run --user --quiet --wait --pipe -p Delegate=yes podman --runtime $RUNTIME run --rm --network none --cgroups=split --cgroupns host $IMAGE cat /proc/self/cgroup'
    check '--cgroups=no-conmon' '^in ' 'run --rm --cgroups=no-conmon $IMAGE echo in'
    drop
    check '--cgroups=disabled' '^in ' 'run --rm --cgroups=disabled $IMAGE echo in'
    drop
    check '--cgroup-parent: a slice' '/mine.slice/libpod-' 'run --rm --cgroup-parent mine.slice --cgroupns host $IMAGE cat /proc/self/cgroup'
    drop
    check 'the network of pasta or slirp4netns' '^2 ' 'rootless run --rm $IMAGE grep -c : /proc/net/dev'
    check 'pod: pause, unpause, limits' 'Paused Running 50000 ' \
        'rootless pod create --name p --network none --cpus 0.5 >/dev/null; rootless run -d --pod p --name m $IMAGE sleep 1000 >/dev/null; rootless pod pause p >/dev/null; rootless pod inspect -f "{{.State}}" p; rootless pod unpause p >/dev/null; rootless pod inspect -f "{{.State}}" p
         find /sys/fs/cgroup/user.slice -path "*libpod_pod*/cpu.max" -exec cat {} + | grep -o "^50000" | head -n 1; rootless pod rm -f -t 0 p >/dev/null'
    check 'kube play, kube down' 'played .*67108864 .*gone $' \
        'printf "%s\n" "apiVersion: v1" "kind: Pod" "metadata: {name: cube}" "spec: {hostNetwork: true, containers: [{name: box, image: $IMAGE, command: [/bin/sh, -c, \"echo played; sleep 1000\"], resources: {limits: {memory: 64Mi}}}]}" >$WORK/user/pod.yaml
         rootless kube play $WORK/user/pod.yaml; shows played rootless logs cube-box; rootless exec cube-box cat /sys/fs/cgroup/memory.max; rootless kube down $WORK/user/pod.yaml; rootless pod exists cube || echo gone'
    rootless pod rm -af -t 0 >/dev/null 2>&1
fi
check 'build with RUN' 'built $' \
    'printf "FROM $IMAGE\nRUN echo built >/built\nCMD [\"cat\", \"/built\"]\n" | rootless build -q --network none --isolation oci -t built - >/dev/null 2>&1; run --rm localhost/built'
drop
rootless rmi -f localhost/built >/dev/null 2>&1
# Podman's own process keeps the user's namespaces.
user podman system migrate >/dev/null 2>&1
