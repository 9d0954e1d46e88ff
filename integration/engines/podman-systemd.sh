# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# Podman as root on a host with systemd, cgroup v2 and AppArmor: what only such a host shows; sourced by run.sh once per
# runtime.
run() { podman run --network none --name box "$@"; }
drop() { podman rm -f -t 0 box >/dev/null 2>&1; }
field() { podman inspect -f "{{$1}}" box; }
scope() { echo "libpod-$(field .Id).scope"; }
start_podman

check 'info' '^systemd v2 (berth|control) $' 'podman info -f "{{.Host.CgroupManager}} {{.Host.CgroupsVersion}} {{.Host.OCIRuntime.Name}}"'
check 'run with limits: container and unit' '67108864 50000 100000 50 .*MemoryMax=67108864 .*TasksMax=50' \
    'run -d --memory 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 bb:1 sleep 1000 >/dev/null; podman exec box sh -c "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max"; systemctl show $(scope) -p MemoryMax -p TasksMax'
check 'AppArmor: the profile of Podman, in exec too' '^containers-default[^ ]* \(enforce\) containers-default[^ ]* \(enforce\) $' 'podman exec box cat /proc/1/attr/current /proc/self/attr/current'
check 'pause: the cgroup is frozen' '^1 paused running $' \
    'podman pause box >/dev/null; cat /sys/fs/cgroup$(cut -d: -f3 /proc/$(field .State.Pid)/cgroup)/cgroup.freeze; field .State.Status; podman unpause box >/dev/null; field .State.Status'
check 'update: container and unit, after daemon-reload' '33554432 20000 100000 33554432 ' \
    'podman update --memory 32m --memory-swap 32m --cpus 0.2 box >/dev/null; systemctl daemon-reload; sleep 1; podman exec box sh -c "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"; systemctl show $(scope) -p MemoryMax --value'
check 'device rules outlast daemon-reload' 'not permitted' 'podman exec --privileged box sh -c "mknod /dev/k c 1 11; cat /dev/k"'
check 'stats' '[1-9].* / 33.55MB' 'podman stats --no-stream --format "{{.PIDs}} {{.MemUsage}}" box'
check 'kill: the scope is gone' '^137 inactive $' 'name=$(scope); podman kill -s KILL box >/dev/null; podman wait box; shows inactive systemctl is-active $name'
drop
check 'OOM: exit status, OOMKilled' '^137 true $' 'run --memory 16m --memory-swap 16m bb:1 tail /dev/zero; echo $?; shows true field .State.OOMKilled'
drop
check 'AppArmor: unconfined, --privileged' '^unconfined unconfined $' \
    'run --rm --security-opt apparmor=unconfined bb:1 cat /proc/self/attr/current; run --rm --privileged bb:1 cat /proc/self/attr/current'
check '--systemd=always: cgroup, /run, /tmp, container_uuid' '^made tmpfs .*container_uuid=' \
    'run --rm --systemd=always bb:1 sh -c "mkdir /sys/fs/cgroup/child && echo made; mount | grep \" /run \" | cut -d\" \" -f1; tr \"\\0\" \"\\n\" </proc/1/environ | grep container_uuid"'
drop
# The tree of the machine itself, below an overlay, is an image with systemd.
INSIDE='systemd-detect-virt; systemctl is-system-running
printf "%s\n" "[Service]" Type=oneshot MemoryMax=32M "ExecStart=sh -c \"cat /sys/fs/cgroup/system.slice/limited.service/memory.max >/limit\"" >/run/systemd/system/limited.service
systemctl start limited && cat /limit
systemctl list-units --type target --plain --no-legend | grep -o timers.target'
check '--systemd=always: systemd itself, a limit that it sets' 'podman (running|degraded) 33554432 timers.target ' \
    'run -d --systemd=always --rootfs /:O /sbin/init --unit=timers.target >/dev/null; shows "running|degraded" podman exec box systemctl is-system-running >/dev/null; podman exec box sh -c "$INSIDE"'
check '--systemd=always: exec in a container whose cgroup is divided' '^in /init.scope|^in ' 'podman exec box sh -c "echo in; cut -d: -f3 /proc/self/cgroup"'
check '--systemd=always: stop by SIGRTMIN+3' '^(0|130|143) $' 'podman stop -t 60 box >/dev/null; podman wait box'
drop
check '--cgroups=split' '/libpod-payload' \
    'systemd-run --quiet --wait --pipe -p Delegate=yes podman --runtime $RUNTIME run --rm --network none --cgroups=split --cgroupns host bb:1 cat /proc/self/cgroup'
check '--cgroups=split: limits' '^33554432 ' \
    'systemd-run --quiet --wait --pipe -p Delegate=yes podman --runtime $RUNTIME run --rm --network none --cgroups=split -m 32m bb:1 cat /sys/fs/cgroup/memory.max'
check '--cgroup-parent: a slice in a slice' '/harbour.slice/harbour-dock.slice/libpod-' 'run --rm --cgroup-parent harbour-dock.slice --cgroupns host bb:1 cat /proc/self/cgroup'
check '--cgroup-manager cgroupfs: limits' '^in 33554432 ' 'podman --cgroup-manager cgroupfs run --rm --network none -m 32m bb:1 sh -c "echo in; cat /sys/fs/cgroup/memory.max"'
check '--device-read-bps, --cpu-shares, --memory-reservation' 'rbps=1048576 .*(20|59) 8388608 ' \
    'run --rm --device-read-bps $(lsblk -dnpo NAME | head -n 1):1mb --cpu-shares 512 --memory-reservation 8m bb:1 sh -c "cd /sys/fs/cgroup; cat io.max cpu.weight memory.low"'
check '--privileged: cgroups' '^made ' 'run --rm --privileged bb:1 sh -c "mkdir /sys/fs/cgroup/child && echo made"'
check 'healthcheck by a timer' '^healthy .*timer' \
    'run -d --health-cmd "echo well" --health-interval 2s bb:1 sleep 1000 >/dev/null; shows ^healthy field .State.Health.Status; systemctl list-units --type timer --plain --no-legend | grep -o "^$(field .Id).*timer"'
check 'healthcheck that fails, by a timer' '^unhealthy ' \
    'drop; run -d --health-cmd "exit 1" --health-interval 2s --health-retries 2 bb:1 sleep 1000 >/dev/null; shows ^unhealthy field .State.Health.Status'
drop
check 'pod: a slice with limits' '^50000 .*machine-libpod_pod' \
    'podman pod create --name p --network none --cpus 0.5 >/dev/null; podman run -d --pod p --name m bb:1 sleep 1000 >/dev/null; slice=$(podman pod inspect -f "{{.CgroupPath}}" p); cat /sys/fs/cgroup/$slice/cpu.max; echo $slice; podman pod rm -f -t 0 p >/dev/null'
check 'a unit that runs a container (Type=notify)' '^active notified in (inactive|failed) ' \
    'systemd-run --quiet --unit=shipped -p Type=notify -p Delegate=yes -p KillMode=mixed -p NotifyAccess=all podman --runtime $RUNTIME run --rm --name box --network none --sdnotify=conmon --cgroups=split bb:1 sleep 1000 && systemctl is-active shipped && echo notified; podman exec box echo in; systemctl stop shipped; systemctl is-active shipped'
drop
end_podman
