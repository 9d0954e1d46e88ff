# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# Podman as root, cgroups by systemd; sourced by inside.sh once per runtime.
IMAGE=localhost/busybox
podman_with_runtimes
export CONTAINERS_CONF=$WORK/containers.conf

check 'info' '^systemd v2 (berth|control) $' 'podman info -f "{{.Host.CgroupManager}} {{.Host.CgroupsVersion}} {{.Host.OCIRuntime.Name}}"'
check 'run, exit statuses, on a terminal' '^hi 7 127 126 126 127 .*/dev/pts/0 30 100' \
    'run --rm $IMAGE sh -c "echo hi; exit 7"; echo $?; for program in /nosuch /etc /etc/passwd nosuch; do run --rm $IMAGE $program >/dev/null 2>&1; echo $?; drop; done; on_terminal "podman run --rm --network none -it $IMAGE sh -c \"sleep 2; tty; stty size\""'
drop
check 'run -d with limits: container and unit' '67108864 50000 100000 50 .*MemoryMax=67108864' \
    'run -d --memory 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 $IMAGE sh -c "echo one; sleep 1000" >/dev/null; podman exec box sh -c "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max"; systemctl show $(scope) -p MemoryMax'
check 'logs, top, stats' '^one .*sleep 1000.* [12] ' 'podman logs box; podman top box; podman stats --no-stream --format "{{.PIDs}} " box'
check 'exec: exit statuses, -it, -u' '^5 127 126 126 127 .*/dev/pts/[0-9].*uid=5' \
    'podman exec box sh -c "exit 5"; echo $?; for program in /nosuch /etc /etc/passwd nosuch; do podman exec box $program >/dev/null 2>&1; echo $?; done; on_terminal "podman exec -it box tty"; podman exec -u 5 box id'
check 'AppArmor' '^containers-default[^ ]* \(enforce\)' 'podman exec box cat /proc/self/attr/current'
check 'pause, unpause' '^paused .*running $' 'podman pause box >/dev/null; field .State.Status; podman unpause box >/dev/null; field .State.Status'
check 'update' '33554432 20000 100000 33554432 ' \
    'podman update --memory 32m --memory-swap 32m --cpus 0.2 box >/dev/null; systemctl daemon-reload; podman exec box sh -c "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"; systemctl show $(scope) -p MemoryMax --value'
check 'kill, wait' '^137 $' 'podman kill -s KILL box >/dev/null; podman wait box'
drop
check 'stop: SIGTERM' '^3 $' \
    'run -d $IMAGE sh -c "trap \"exit 3\" TERM; while :; do sleep 0.2; done" >/dev/null; sleep 2; podman stop -t 30 box >/dev/null; podman wait box'
drop
check 'OOM' '^137 true $' 'run --memory 16m --memory-swap 16m $IMAGE tail /dev/zero; echo $?; field .State.OOMKilled'
drop
check '--systemd=always: cgroup, /run, /tmp, container_uuid' '^made tmpfs .*container_uuid=' \
    'run --rm --systemd=always $IMAGE sh -c "mkdir /sys/fs/cgroup/child && echo made; mount | grep \" /run \" | cut -d\" \" -f1; tr \"\\0\" \"\\n\" </proc/1/environ | grep container_uuid"'
drop
check '--cgroups=split' '/libpod-payload' \
    'systemd-run --quiet --wait --pipe -p Delegate=yes --setenv=CONTAINERS_CONF=$CONTAINERS_CONF podman run --rm --network none --cgroups=split --cgroupns host $IMAGE cat /proc/self/cgroup'
check '--cgroups=no-conmon' '^in ' 'run --rm --cgroups=no-conmon $IMAGE echo in'
drop
check '--cgroups=disabled' '^in ' 'run --rm --cgroups=disabled $IMAGE echo in'
drop
check '--cgroup-parent: a slice' 'harbour.slice/libpod-' 'run --rm --cgroup-parent harbour.slice --cgroupns host $IMAGE cat /proc/self/cgroup'
check '--cgroup-manager cgroupfs' '^in ' 'podman --cgroup-manager cgroupfs run --rm --network none $IMAGE echo in'
check '--privileged, --uidmap' '^made .* 0 +100000 +65536' \
    'run --rm --privileged $IMAGE sh -c "mkdir /sys/fs/cgroup/child && echo made"; run --rm --uidmap 0:100000:65536 $IMAGE sh -c "echo; cat /proc/self/uid_map"'
check 'the bridge network' '^eth0: $' 'podman run --rm $IMAGE grep -o eth0: /proc/net/dev'
check 'healthcheck by a timer' '^healthy ' \
    'run -d --health-cmd "echo well" --health-interval 2s $IMAGE sleep 1000 >/dev/null; shows ^healthy field .State.Health.Status'
drop
check 'pod: shared namespaces, stats, pause' '^p p .*Paused.*gone ' \
    'podman pod create --name p --network none --hostname p --infra-command "sleep 1000" >/dev/null; podman run -d --pod p --name m $IMAGE sleep 1000 >/dev/null; podman exec m hostname; podman pod stats --no-stream --format "{{.Name}}" p >/dev/null; podman run --rm --pod p $IMAGE hostname; podman pod pause p >/dev/null; podman pod ps; podman pod unpause p >/dev/null; podman pod rm -f -t 0 p >/dev/null; podman pod exists p || echo gone'
cat >pod.yaml <<YAML
apiVersion: v1
kind: Pod
metadata: {name: cube}
spec:
  hostNetwork: true
  containers:
  - name: box
    image: localhost/busybox:latest
    command: [/bin/sh, -c, 'echo "\$WORD"; sleep 1000']
    env: [{name: WORD, value: played}]
    resources: {limits: {memory: 64Mi}}
YAML
check 'kube play, kube down' 'played .*67108864 .*gone $' \
    'podman kube play pod.yaml; shows played podman logs cube-box; podman exec cube-box cat /sys/fs/cgroup/memory.max; podman kube down pod.yaml; podman pod exists cube || echo gone'
check 'build with RUN' 'built $' \
    'mkdir -p context; printf "FROM localhost/busybox\nRUN echo built >/built\nCMD [\"cat\", \"/built\"]\n" >context/Dockerfile; podman build -q --network none --isolation oci -t built context >/dev/null 2>&1; run --rm localhost/built'
drop
podman rmi -f localhost/built >/dev/null 2>&1
podman network reload -a >/dev/null 2>&1
