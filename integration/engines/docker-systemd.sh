# shellcheck shell=bash disable=SC2016,SC2154
# Docker on a host with systemd, cgroup v2 and AppArmor: what only such a host shows; sourced by run.sh once per runtime.
run() { docker run --network none --name box "$@"; }
drop() { docker rm -f box >/dev/null 2>&1; }
field() { docker inspect -f "{{$1}}" box; }
unit() { echo "docker-$(field .Id).scope"; }
LIMITS='cd /sys/fs/cgroup; cat memory.max cpu.max pids.max cpuset.cpus.effective'
start_docker site "\"default-runtime\": \"$RUNTIME\", \"iptables\": false, \"bridge\": \"none\""

check 'info: the driver, the default runtime, its version' '^systemd 2 (berth|control) 0 $' \
    'docker info -f "{{.CgroupDriver}} {{.CgroupVersion}} {{.DefaultRuntime}}"; grep -c "failed to retrieve $RUNTIME version\|unknown output format" $WORK/site.log'
check 'run with limits: in the container' '67108864 50000 100000 50 0 $' \
    "run -d -m 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 --cpuset-cpus 0 bb:1 sleep 1000; docker exec box sh -c '$LIMITS'"
check 'run with limits: in the unit' '500ms .*AllowedCPUs=0 .*MemoryMax=67108864 .*TasksMax=50' \
    'systemctl show $(unit) -p CPUQuotaPerSecUSec -p MemoryMax -p TasksMax -p AllowedCPUs'
check 'the scope: slice, description, delegation' 'Slice=system.slice .*Delegate=yes .*ActiveState=active' \
    'systemctl show $(unit) -p Slice -p Delegate -p ActiveState'
check 'limits and device rules outlast daemon-reload' '67108864 .*not permitted' \
    "systemctl daemon-reload; sleep 1; docker exec box sh -c '$LIMITS; mknod /dev/k c 1 11; cat /dev/k'"
check 'AppArmor: docker-default is in force, in exec (--privileged) too' '^(docker-default \(enforce\) ){3}$' \
    'docker exec box cat /proc/1/attr/current /proc/self/attr/current; docker exec --privileged box cat /proc/self/attr/current'
check 'pause: the cgroup is frozen' '^1 .*paused.*running 0 $' \
    'docker pause box >/dev/null; cat /sys/fs/cgroup/system.slice/$(unit)/cgroup.freeze; docker exec box true; docker unpause box >/dev/null; field .State.Status; cat /sys/fs/cgroup/system.slice/$(unit)/cgroup.freeze'
check 'update: in the container and in the unit, after daemon-reload' '33554432 20000 100000 30 0 .*33554432' \
    "docker update -m 32m --memory-swap 32m --cpus 0.2 --pids-limit 30 box >/dev/null; systemctl daemon-reload; docker exec box sh -c '$LIMITS'; systemctl show \$(unit) -p MemoryMax"
check 'systemctl kill ends it' '^143 inactive $|^137 inactive $' \
    'name=$(unit); systemctl kill -s KILL $name; docker wait box; for _ in 1 2 3 4 5; do [[ $(systemctl is-active $name) != inactive ]] || break; sleep 1; done; systemctl is-active $name'
drop
check 'AppArmor: what docker-default forbids' 'ermission denied' \
    'run --rm --cap-add SYS_ADMIN --security-opt seccomp=unconfined bb:1 mount -t tmpfs x /tmp'
check 'AppArmor: unconfined' '^unconfined mounted $' \
    'run --rm --security-opt apparmor=unconfined bb:1 cat /proc/self/attr/current; run --rm --cap-add SYS_ADMIN --security-opt apparmor=unconfined bb:1 sh -c "mount -t tmpfs x /tmp && echo mounted"'
check 'AppArmor: --privileged' '^unconfined $' 'run --rm --privileged bb:1 cat /proc/self/attr/current'
cat >profile <<'PROFILE'
#include <tunables/global>
profile berth-engines flags=(attach_disconnected,mediate_deleted) {
  file, network, capability, signal, umount,
  deny /forbidden w,
}
PROFILE
check 'AppArmor: a profile of its own' '^berth-engines \(enforce\) .*ermission denied.*written $' \
    'apparmor_parser -r profile; run --rm --security-opt apparmor=berth-engines bb:1 sh -c "exec 2>&1; cat /proc/self/attr/current; echo >/forbidden; echo written >/allowed; cat /allowed"'
check 'AppArmor: a profile of its own, no_new_privs, another user' '^berth-engines \(enforce\) uid=1000' \
    'run --rm --security-opt apparmor=berth-engines --security-opt no-new-privileges --user sailor bb:1 sh -c "cat /proc/self/attr/current; id"'
check 'AppArmor: a profile that is not loaded' 'apparmor.* 12[5-7] $' \
    'run --rm --security-opt apparmor=lost bb:1 true; echo $?; drop'
apparmor_parser -R profile
check 'OOM: exit status, OOMKilled' '^137 true $' 'run -m 16m --memory-swap 16m bb:1 sh -c "sleep $BEAT; exec tail /dev/zero"; echo $?; shows true field .State.OOMKilled'
drop
check '--cgroup-parent: a slice in a slice' '/harbour.slice/harbour-dock.slice/docker-' \
    'run -d --cgroup-parent harbour-dock.slice --cgroupns host bb:1 sleep 1000 >/dev/null; docker exec box cat /proc/1/cgroup'
drop
check '--cgroupns private, the mount is read-only' '^0::/ .*cgroup2 ro' 'run --rm bb:1 sh -c "cat /proc/self/cgroup; mount | grep cgroup2 | sed \"s/.*type //; s/(//\""'
check '--privileged: cgroups and disks' '^Seccomp:.0 made disk ' \
    'run --rm --privileged bb:1 sh -c "grep Seccomp: /proc/self/status; mkdir /sys/fs/cgroup/child && echo made; head -c1 /dev/vda >/dev/null && echo disk"'
check '--restart always, an OOM each time' '^[2-9]' 'run -d -m 16m --memory-swap 16m --restart always bb:1 tail /dev/zero >/dev/null; shows "^[2-9]" field .RestartCount'
drop
end_docker

start_docker files "\"default-runtime\": \"$RUNTIME\", \"exec-opts\": [\"native.cgroupdriver=cgroupfs\"], \"iptables\": false, \"bridge\": \"none\""
check 'the cgroupfs driver: limits' '^cgroupfs .*67108864 50000 100000 50 0 0::/docker/' \
    "docker info -f '{{.CgroupDriver}}'; run -d -m 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 --cpuset-cpus 0 bb:1 sleep 1000; docker exec box sh -c '$LIMITS'; cat /proc/\$(field .State.Pid)/cgroup"
check 'the cgroupfs driver: device rules' 'not permitted' 'docker exec box sh -c "mknod /dev/k c 1 11; cat /dev/k"'
check 'the cgroupfs driver: update, pause, stats, top' '^box box paused 33554432 .*[1-9] .*sleep' \
    'docker update -m 32m --memory-swap 32m box; docker pause box; field .State.Status; docker unpause box >/dev/null; docker exec box cat /sys/fs/cgroup/memory.max; docker stats --no-stream --format "{{.PIDs}}" box; docker top box'
drop
check 'the cgroupfs driver: OOM' '^137 true $' 'run -m 16m --memory-swap 16m bb:1 sh -c "sleep $BEAT; exec tail /dev/zero"; echo $?; shows true field .State.OOMKilled'
drop
check 'the cgroupfs driver: --cgroup-parent' '^0::/harbour/dock/' 'run --rm --cgroup-parent /harbour/dock --cgroupns host bb:1 cat /proc/self/cgroup'
end_docker
rmdir /sys/fs/cgroup/harbour/dock /sys/fs/cgroup/harbour 2>/dev/null
