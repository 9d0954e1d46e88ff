# shellcheck shell=bash disable=SC2016,SC2154
# Docker with the systemd driver, the runtime as default-runtime; sourced by inside.sh once per runtime.
cat >/etc/docker/daemon.json <<JSON
{"runtimes": {"berth": {"path": "$BERTH"}, "control": {"path": "$RUNC"}}, "default-runtime": "$RUNTIME"}
JSON
systemctl reset-failed docker docker.socket 2>/dev/null
systemctl restart containerd docker
run() { docker run --name box "$@"; }
drop() { docker rm -f box >/dev/null 2>&1; }
field() { docker inspect -f "{{$1}}" box; }
unit() { echo "docker-$(field .Id).scope"; }
LIMITS='cd /sys/fs/cgroup; cat memory.max cpu.max pids.max cpuset.cpus.effective'

check 'info: the driver, the default runtime, its version' '^systemd 2 (berth|control) 0 $' \
    'docker info -f "{{.CgroupDriver}} {{.CgroupVersion}} {{.DefaultRuntime}}"; journalctl -b -u docker | grep -c "failed to retrieve $RUNTIME version\|unknown output format"'
check 'run, exit status, on a terminal' '^hi 7 .*/dev/pts/0 30 100 ' \
    'docker run --rm busybox sh -c "echo hi; exit 7"; echo $?; on_terminal "docker run --rm -it busybox sh -c \"sleep 2; tty; stty size\""'
check 'programs that do not start: the exit statuses of run' '^127 126 126 127 $' \
    'for program in /nosuch /etc /etc/passwd nosuch; do docker run --rm busybox $program >/dev/null 2>&1; echo $?; done'
check 'run -d with limits: in the container' '67108864 50000 100000 50 0 $' \
    "run -d -m 64m --memory-swap 64m --cpus 0.5 --pids-limit 50 --cpuset-cpus 0 busybox sleep 1000; docker exec box sh -c '$LIMITS'"
check 'run -d with limits: in the unit' '500ms .*AllowedCPUs=0 .*MemoryMax=67108864 .*TasksMax=50' \
    'systemctl show $(unit) -p CPUQuotaPerSecUSec -p MemoryMax -p TasksMax -p AllowedCPUs'
check 'limits and device rules outlast daemon-reload' '67108864 .*not permitted' \
    "systemctl daemon-reload; sleep 1; docker exec box sh -c '$LIMITS; mknod /dev/k c 1 11; cat /dev/k'"
check 'AppArmor: docker-default is in force' '^docker-default \(enforce\) docker-default \(enforce\) $' \
    'docker exec box cat /proc/1/attr/current /proc/self/attr/current'
check 'exec: exit statuses' '^5 126 126 126 126 $' \
    'docker exec box sh -c "exit 5"; echo $?; for program in /nosuch /etc /etc/passwd nosuch; do docker exec box $program >/dev/null 2>&1; echo $?; done'
check 'exec: message' 'exec: "?/nosuch"?: .*no such file or directory' 'docker exec box /nosuch'
check 'exec -it, --privileged, -u' '/dev/pts/[0-9]+ .*CapEff:.000001ffffffffff .*uid=5' \
    'on_terminal "docker exec -it box tty"; docker exec --privileged box grep CapEff /proc/self/status; docker exec -u 5 box id'
check 'top, stats' 'sleep 1000.*[0-9.]+.iB .* [1-9]' 'docker top box; docker stats --no-stream --format "{{.MemUsage}} {{.PIDs}}" box'
check 'pause, unpause' '^1 .*paused.*running ' \
    'docker pause box >/dev/null; cat /sys/fs/cgroup/system.slice/$(unit)/cgroup.freeze; docker exec box true; docker unpause box >/dev/null; field .State.Status'
check 'update: in the container and in the unit' '33554432 20000 100000 30 0 .*33554432' \
    "docker update -m 32m --memory-swap 32m --cpus 0.2 --pids-limit 30 box >/dev/null; systemctl daemon-reload; docker exec box sh -c '$LIMITS'; systemctl show \$(unit) -p MemoryMax"
check 'the daemon is killed, the container goes on with it' '^running in $' \
    'docker update --restart no box >/dev/null; echo "{\"live-restore\": true, $(tail -c +2 /etc/docker/daemon.json)" >live.json; cp live.json /etc/docker/daemon.json; systemctl reload docker; sleep 1; systemctl kill -s KILL docker; until_true "systemctl is-active docker && docker version"; field .State.Status; docker exec box echo in'
check 'kill, wait' '^137 $' 'docker kill box >/dev/null; docker wait box'
drop
check 'AppArmor: what docker-default forbids' 'ermission denied' \
    'docker run --rm --cap-add SYS_ADMIN --security-opt seccomp=unconfined busybox mount -t tmpfs x /tmp'
check 'AppArmor: unconfined' '^unconfined mounted $' \
    'docker run --rm --security-opt apparmor=unconfined busybox cat /proc/self/attr/current; docker run --rm --cap-add SYS_ADMIN --security-opt apparmor=unconfined busybox sh -c "mount -t tmpfs x /tmp && echo mounted"'
cat >profile <<'PROFILE'
#include <tunables/global>
profile berth-engines flags=(attach_disconnected,mediate_deleted) {
  file, network, capability, signal, umount,
  deny /forbidden w,
}
PROFILE
check 'AppArmor: a profile of its own' '^berth-engines \(enforce\) .*ermission denied.*written $' \
    'apparmor_parser -r profile; docker run --rm --security-opt apparmor=berth-engines busybox sh -c "exec 2>&1; cat /proc/self/attr/current; echo >/forbidden; echo written >/allowed; cat /allowed"'
check 'AppArmor: a profile that is not loaded' '125|12[67]' \
    'docker run --rm --security-opt apparmor=lost busybox true; echo $?'
check 'OOM: exit status, OOMKilled' '^137 true $' 'run -m 16m --memory-swap 16m busybox tail /dev/zero; echo $?; shows true field .State.OOMKilled'
drop
check 'stop: SIGTERM, start again' '^3 running $' \
    'run -d busybox sh -c "trap \"exit 3\" TERM; while :; do sleep 0.2; done" >/dev/null; sleep 2; docker stop -t 30 box >/dev/null; docker wait box; docker start box >/dev/null; field .State.Status'
drop
check '--restart, --health-cmd' '^[1-9].*healthy' \
    'run -d --restart always busybox sh -c "sleep 0.3; exit 1" >/dev/null; shows ^[1-9] field .RestartCount; drop; run -d --health-cmd "echo well" --health-interval 2s busybox sleep 1000 >/dev/null; shows ^healthy field .State.Health.Status'
drop
check '--cgroup-parent: a slice' 'harbour.slice/docker-' \
    'run -d --cgroup-parent harbour.slice --cgroupns host busybox sleep 1000 >/dev/null; docker exec box cat /proc/1/cgroup'
drop
check '--cgroupns private, the mount is read-only' '^0::/ .*cgroup2 ro' 'docker run --rm busybox sh -c "cat /proc/self/cgroup; mount | grep cgroup2 | sed \"s/.*type //; s/(//\""'
check '--privileged: AppArmor, seccomp, devices, cgroups' 'unconfined.*Seccomp:.0 .*made.*disk' \
    'docker run --rm --privileged busybox sh -c "cat /proc/self/attr/current; grep Seccomp: /proc/self/status; mkdir /sys/fs/cgroup/child && echo made; head -c1 /dev/vda >/dev/null && echo disk"'
check '--device, and no other' 'not permitted.*crw.* 10, *229' 'docker run --rm --device /dev/fuse busybox sh -c "exec 2>&1; mknod /dev/k c 1 11; cat /dev/k; ls -l /dev/fuse"'
check '--cpu-shares, --memory-reservation' '^[1-9][0-9] 8388608 ' \
    'docker run --rm --cpu-shares 512 --memory-reservation 8m busybox sh -c "cat /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/memory.low"'
check 'the bridge network' '^eth0: answer ' \
    'docker run -d --name server busybox sh -c "echo answer >/f; exec httpd -f -p 80 -h /" >/dev/null; docker run --rm busybox sh -c "grep -o eth0: /proc/net/dev; wget -qO- http://$(docker inspect -f "{{.NetworkSettings.IPAddress}}" server)/f"; docker rm -f server >/dev/null'
check '--init, --read-only, --tmpfs, --user, --sysctl' '^1 docker-init.*Read-only.*written.*uid=5 .*1234' \
    'docker run --rm --init --read-only --tmpfs /t --sysctl kernel.shmmni=1234 busybox sh -c "exec 2>&1; echo 1 \$(cat /proc/1/comm); touch /new; echo written >/t/f; cat /t/f"; docker run --rm --user 5 --sysctl kernel.shmmni=1234 busybox sh -c "id; cat /proc/sys/kernel/shmmni"'
check 'build with RUN' '^built $' \
    'printf "FROM busybox\nRUN echo built >/built\nCMD [\"cat\", \"/built\"]\n" | DOCKER_BUILDKIT=0 docker build -q -t built - >/dev/null 2>&1; docker run --rm built'
