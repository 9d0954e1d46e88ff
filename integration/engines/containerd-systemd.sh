# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# containerd by ctr, cgroups by systemd, AppArmor; sourced by run.sh once per runtime.
IMAGE=docker.io/library/bb:1
# The name of a unit is free again only when systemd has forgotten it.
SERIAL=0
run() { ctr run --runc-binary "$BINARY" --runc-systemd-cgroup --cgroup "ctr.slice:ctr:$RUNTIME$SERIAL" "$@"; }
drop() { ctr tasks kill -s KILL c; shows STOPPED ctr tasks ls; ctr tasks rm c; ctr containers rm c; } >/dev/null 2>&1
ctr image import saved.tar >/dev/null

check 'run, exit status, a program that is not there' '^hi 7 .*no such file or directory' \
    'run --rm $IMAGE c sh -c "echo hi; exit 7"; echo $?; run --rm $IMAGE c /nosuch'
SERIAL=1
check 'run -d: in a scope of systemd' 'RUNNING active 16777216 ' \
    'run -d --memory-limit 16777216 $IMAGE c sleep 1000; ctr tasks ls; systemctl is-active ctr-$RUNTIME$SERIAL.scope; cat /sys/fs/cgroup/ctr.slice/ctr-$RUNTIME$SERIAL.scope/memory.max'
check 'tasks exec, exit status' '^in 5 .*no such file' \
    'ctr tasks exec --exec-id a c echo in; ctr tasks exec --exec-id b c sh -c "exit 5"; echo $?; ctr tasks exec --exec-id n c /nosuch'
check 'tasks exec -t' '/dev/pts/[0-9]' 'on_terminal "ctr tasks exec -t --exec-id t c sh -c \"tty; sleep $BEAT\""'
check 'tasks ps, metrics' '^PID +INFO [0-9]+ .*memory.usage +[1-9]' 'ctr tasks ps c; ctr tasks metrics c'
check 'tasks pause, resume' 'PAUSED.*RUNNING' 'ctr tasks pause c; ctr tasks ls; ctr tasks resume c; ctr tasks ls'
check 'the daemon restarts, the container goes on' 'RUNNING in ' \
    'stop_daemon containerd TERM; start_containerd; ctr tasks ls; ctr tasks exec --exec-id r c echo in'
check 'the daemon is killed, the container goes on' 'RUNNING in ' \
    'stop_daemon containerd KILL; start_containerd; ctr tasks ls; ctr tasks exec --exec-id k c echo in'
check 'daemon-reload: the limit stays' '^16777216 ' 'systemctl daemon-reload; sleep 1; cat /sys/fs/cgroup/ctr.slice/ctr-$RUNTIME$SERIAL.scope/memory.max'
check 'tasks kill, rm' 'STOPPED.*gone inactive $' \
    'ctr tasks kill -s KILL c; shows STOPPED ctr tasks ls; ctr tasks rm c; ctr containers rm c; ctr containers ls -q | grep -qx c || echo gone; systemctl is-active ctr-$RUNTIME$SERIAL.scope'
drop
SERIAL=2
check 'events: oom' '/tasks/oom' 'ctr events >events & sleep $BEAT; run --rm --memory-limit 16777216 $IMAGE c sh -c "sleep $BEAT; exec tail /dev/zero"; sleep $BEAT; kill $!; pkill -x ctr; cat events'
SERIAL=3
check 'run --apparmor-default-profile, --seccomp' 'ctr-default \(enforce\) Seccomp:.2 ' \
    'run --rm --seccomp --apparmor-default-profile ctr-default $IMAGE c sh -c "cat /proc/self/attr/current; grep Seccomp: /proc/self/status"'
SERIAL=4
check 'run --apparmor-profile that is not loaded' 'apparmor' 'run --rm --apparmor-profile lost $IMAGE c true; ctr containers rm c'
SERIAL=5
check 'run --privileged, --net-host' '^same ' \
    'run --rm --privileged --net-host $IMAGE c readlink /proc/self/ns/net | grep -qxF "$(readlink /proc/self/ns/net)" && echo same'
ctr image rm "$IMAGE" >/dev/null
