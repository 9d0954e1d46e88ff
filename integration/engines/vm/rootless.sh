# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# Podman without root, as the user `tester`, cgroups by the user's systemd; sourced by inside.sh once per runtime.
IMAGE=localhost/busybox
chmod 755 "$WORK" "$WORK/bin"
podman_with_runtimes
podman() { as-user env CONTAINERS_CONF="$WORK/containers.conf" podman "$@"; }

check 'info' '^systemd v2 (berth|control) true $' \
    'podman info -f "{{.Host.CgroupManager}} {{.Host.CgroupsVersion}} {{.Host.OCIRuntime.Name}} {{.Host.Security.Rootless}}"'
check 'run, exit statuses' '^hi 7 127 126 126 127 $' \
    'run --rm $IMAGE sh -c "echo hi; exit 7"; echo $?; for program in /nosuch /etc /etc/passwd nosuch; do run --rm $IMAGE $program >/dev/null 2>&1; echo $?; drop; done'
drop
check 'run on a terminal' '/dev/pts/0 ' 'on_terminal "as-user env CONTAINERS_CONF=$WORK/containers.conf podman run --rm --network none -it $IMAGE tty"'
check 'the maps' ' 0 +1000 +1 +1 +100000 +65536 ' 'run --rm $IMAGE sh -c "echo; cat /proc/self/uid_map"'
drop
check 'run -d with limits: container and unit of the user' '67108864 50000 100000 50 .*MemoryMax=67108864' \
    'run -d --memory 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 $IMAGE sh -c "echo one; sleep 1000" >/dev/null; podman exec box sh -c "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max"; as-user systemctl --user show $(scope) -p MemoryMax'
check 'logs, top, stats' '^one .*sleep 1000.* [12] ' 'podman logs box; podman top box; podman stats --no-stream --format "{{.PIDs}} " box'
check 'exec: exit statuses, -it, -u' '^5 127 126 126 127 .*/dev/pts/[0-9].*uid=5' \
    'podman exec box sh -c "exit 5"; echo $?; for program in /nosuch /etc /etc/passwd nosuch; do podman exec box $program >/dev/null 2>&1; echo $?; done; on_terminal "as-user env CONTAINERS_CONF=$WORK/containers.conf podman exec -it box tty"; podman exec -u 5 box id'
check 'pause, unpause' '^paused .*running $' 'podman pause box >/dev/null; field .State.Status; podman unpause box >/dev/null; field .State.Status'
check 'update' '33554432 ' 'podman update --memory 32m --memory-swap 32m box >/dev/null; podman exec box cat /sys/fs/cgroup/memory.max'
check 'kill, wait' '^137 $' 'podman kill -s KILL box >/dev/null; podman wait box'
drop
check 'OOM' '^137 true $' 'run --memory 16m --memory-swap 16m $IMAGE tail /dev/zero; echo $?; field .State.OOMKilled'
drop
check 'healthcheck' '^healthy $' \
    'run -d --health-cmd "echo well" --health-interval 2s $IMAGE sleep 1000 >/dev/null; shows ^healthy field .State.Health.Status'
drop
check '--systemd=always' '^made ' 'run --rm --systemd=always $IMAGE sh -c "mkdir /sys/fs/cgroup/child && echo made"'
drop
check '--cgroups=split' '/libpod-payload' \
    'as-user systemd-run --user --quiet --wait --pipe -p Delegate=yes --setenv=CONTAINERS_CONF=$WORK/containers.conf podman run --rm --network none --cgroups=split --cgroupns host $IMAGE cat /proc/self/cgroup'
check '--cgroups=no-conmon, disabled' '^in in ' 'run --rm --cgroups=no-conmon $IMAGE echo in; drop; run --rm --cgroups=disabled $IMAGE echo in'
drop
check '--userns=keep-id, --privileged, --read-only, --tmpfs' '^uid=1000.*mounted.*Read-only' \
    'run --rm --userns=keep-id $IMAGE id; run --rm --privileged $IMAGE sh -c "mount -t tmpfs x /tmp && echo mounted"; run --rm --read-only --tmpfs /t $IMAGE touch /new'
drop
check 'the network of pasta or slirp4netns' '^[1-9]' 'podman run --rm $IMAGE sh -c "grep -c : /proc/net/dev"'
check 'pod' '^p p .*gone ' \
    'podman pod create --name p --network none --hostname p --infra-command "sleep 1000" >/dev/null; podman run -d --pod p --name m $IMAGE sleep 1000 >/dev/null; podman exec m hostname; podman pod stats --no-stream p >/dev/null; podman run --rm --pod p $IMAGE hostname; podman pod rm -f -t 0 p >/dev/null; podman pod exists p || echo gone'
check 'build with RUN' 'built $' \
    'mkdir -p context; printf "FROM localhost/busybox\nRUN echo built >/built\nCMD [\"cat\", \"/built\"]\n" >context/Dockerfile; chmod -R a+rX context; podman build -q --network none --isolation oci -t built $WORK/context >/dev/null 2>&1; run --rm localhost/built'
drop
podman rmi -f localhost/built >/dev/null 2>&1
