# shellcheck shell=bash disable=SC2016,SC2154
# Docker with userns-remap, with live-restore, and with a containerd that goes away; sourced by run.sh once per runtime.
run() { docker run --network none --name box "$@"; }
drop() { docker rm -f box >/dev/null 2>&1; }
field() { docker inspect -f "{{$1}}" box; }
start_docker remapped "\"default-runtime\": \"$RUNTIME\", \"userns-remap\": \"default\", \"iptables\": false, \"bridge\": \"none\""
check 'userns-remap: the map' '^0 [1-9][0-9]+ 65536 [1-9]' 'run --rm bb:1 cat /proc/self/uid_map | tr -s " " | sed "s/^ //"; stat -c %u $WORK/remapped/*.*/containers | sed "s/^0/1/"'
check 'userns-remap: root is not root' '^[1-9][0-9]+ 0 .*not permitted|^[1-9][0-9]+ 0 .*ermission denied' \
    'run -d bb:1 sleep 1000 >/dev/null; stat -c %u /proc/$(field .State.Pid); docker exec box id -u; docker exec box sh -c "echo 1 >/proc/sys/kernel/panic; mknod /dev/k c 1 11" 2>&1'
check 'userns-remap: exec -u, cp, pause, update, top' '^uid=1000.* there box box 67108864 .*sleep 1000' \
    'docker exec -u sailor box id; echo there >f; docker cp f box:/f; docker exec box cat /f; docker pause box >/dev/null; docker unpause box; docker update -m 64m --memory-swap 64m box; docker exec box cat /sys/fs/cgroup/$MEMORY; docker top box'
check 'userns-remap: exec -it' '/dev/pts/[0-9]' 'on_terminal "docker exec -it box tty"'
drop
check 'userns-remap: run -it, --user, --tmpfs, --read-only' '/dev/pts/0 .*uid=1000.*Read-only' \
    'on_terminal "docker run --rm --network none -it bb:1 tty"; run --rm --user sailor bb:1 id; run --rm --read-only --tmpfs /t bb:1 touch /new 2>&1'
check 'userns-remap: --userns host' '^0 0 4294967295 $' 'run --rm --userns host bb:1 cat /proc/self/uid_map | tr -s " " | sed "s/^ //"'
check 'userns-remap: OOM' '^137 true $' 'run -m 16m --memory-swap 16m bb:1 sh -c "sleep $BEAT; exec tail /dev/zero"; echo $?; shows true field .State.OOMKilled'
end_docker

start_docker kept "\"default-runtime\": \"$RUNTIME\", \"live-restore\": true, \"iptables\": false, \"bridge\": \"none\""
for signal in TERM KILL; do
    check "live-restore: dockerd ends by SIG$signal, the container goes on" '^same running in before during after $' \
        'run -d bb:1 sh -c "echo before; while [ ! -e /go ]; do sleep 0.1; done; echo during; while [ ! -e /on ]; do sleep 0.1; done; echo after; sleep 1000" >/dev/null
         pid=$(field .State.Pid); shows before docker logs box >/dev/null; stop_daemon kept '$signal'; touch /proc/$pid/root/go; sleep $BEAT; resume_docker >/dev/null
         [[ $(field .State.Pid) == "$pid" && -d /proc/$pid ]] && echo same; field .State.Status; docker exec box echo in; docker exec box touch /on; shows after docker logs box'
    check "live-restore, SIG$signal: pause, update, top, stop afterwards" '^box paused box box 67108864 .*sleep.*box 137 $' \
        'docker pause box; field .State.Status; docker unpause box; docker update -m 64m --memory-swap 64m box; docker exec box cat /sys/fs/cgroup/$MEMORY; docker top box; docker stop -t 0 box; docker wait box'
    drop
done
check 'live-restore: a container that ended meanwhile' '^exited 5 $' \
    'run -d bb:1 sh -c "while [ ! -e /go ]; do sleep 0.1; done; exit 5" >/dev/null; pid=$(field .State.Pid); stop_daemon kept TERM; touch /proc/$pid/root/go; sleep $BEAT; resume_docker >/dev/null; shows exited field .State.Status; field .State.ExitCode'
drop
end_docker
