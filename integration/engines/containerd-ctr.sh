# shellcheck shell=bash disable=SC2016,SC2154
# containerd by ctr; sourced by run.sh once per runtime.
IMAGE=docker.io/library/bb:1
run() { ctr run --runc-binary "$BINARY" "$@"; }
drop() { ctr tasks kill -s KILL c; shows STOPPED ctr tasks ls; ctr tasks rm c; ctr containers rm c; } >/dev/null 2>&1
task() { ctr tasks ls | sed -n "s/^c *\([0-9]*\) .*/\1/p"; }
export IMAGE
export -f run
ctr image import saved.tar >/dev/null

check 'run' '^hi 0 $' 'run --rm $IMAGE c echo hi; echo $?'
check 'exit status' '^7 137 $' 'run --rm $IMAGE c sh -c "exit 7"; echo $?; run --rm --with-ns pid:/proc/1/ns/pid $IMAGE c sh -c "kill -9 \$\$"; echo $?'
check 'run -t' '/dev/pts/0 ' 'on_terminal "run --rm -t $IMAGE c sh -c \"tty; sleep $BEAT\""'
check 'run takes its input' '^piped $' 'echo piped | run --rm $IMAGE c head -n 1'
check 'run --pid-file, --null-io' '^true $' 'run -d --null-io --pid-file pid $IMAGE c sleep 1000; ctr tasks ls | grep -q "c *$(cat pid) " && echo true; drop'
check 'a program that is not there' 'no such file or directory.*executable file not found.*ermission denied' 'for program in /nosuch nosuch /etc/passwd; do run --rm $IMAGE c $program; done'
check 'run -d' 'RUNNING' 'run -d $IMAGE c sleep 1000; ctr tasks ls'
check 'tasks exec' '^in 5 $' 'ctr tasks exec --exec-id a c echo in; ctr tasks exec --exec-id b c sh -c "exit 5"; echo $?'
# ctr stops copying when the process ends: the output needs a moment.
check 'tasks exec -t' '/dev/pts/[0-9]' 'on_terminal "ctr tasks exec -t --exec-id t c sh -c \"tty; sleep $BEAT\""'
check 'tasks exec --user --cwd' '^uid=1000.* /tmp $' 'ctr tasks exec --exec-id u --user 1000 --cwd /tmp c sh -c "id; pwd"'
check 'tasks exec -d, kill --exec-id' '0$' 'ctr tasks exec -d --exec-id d c sleep 2000; ctr tasks kill --exec-id d -s KILL c; sleep $BEAT; ctr tasks exec --exec-id e c sh -c "ps | grep -c [s]leep.2000"; echo -n 0'
check 'tasks exec of a program that is not there' 'no such file or directory.*executable file not found' 'ctr tasks exec --exec-id n c /nosuch; ctr tasks exec --exec-id m c nosuch'
check 'tasks ps' '^PID +INFO [0-9]+ ' 'ctr tasks ps c'
check 'tasks metrics' 'memory.usage(_in_bytes)? +[1-9]' 'ctr tasks metrics c'
check 'tasks pause, resume' 'PAUSED.*RUNNING' 'ctr tasks pause c; ctr tasks ls; ctr tasks resume c; ctr tasks ls'
check 'tasks exec in a paused container' 'paused' 'ctr tasks pause c; ctr tasks exec --exec-id p c true; ctr tasks resume c'
for signal in TERM KILL; do
    check "containerd is restarted by SIG$signal, the container goes on" '^same RUNNING in PAUSED RUNNING $' \
        'pid=$(task); stop_daemon containerd '$signal'; start_containerd; [[ $(task) == "$pid" ]] && echo same
         status() { ctr tasks ls | grep -oE "RUNNING|PAUSED"; }; status; ctr tasks exec --exec-id x c echo in; ctr tasks pause c; status; ctr tasks resume c; status'
done
check 'a container that ended without containerd' 'STOPPED' \
    'stop_daemon containerd TERM; kill -9 $(pgrep -x sleep); start_containerd; shows STOPPED ctr tasks ls'
check 'tasks rm, containers rm' '^gone $' 'ctr tasks rm c >/dev/null 2>&1; ctr containers rm c; ctr containers ls -q | grep -qx c || echo gone'
check 'tasks kill' '^running STOPPED 143 ' \
    'run -d $IMAGE c sh -c "trap \"exit 143\" TERM; while :; do sleep 0.1; done"; sleep $BEAT; ctr tasks kill -s USR2 c; ctr tasks ls | grep -q RUNNING && echo running; ctr tasks kill c; shows STOPPED ctr tasks ls | grep -o STOPPED; ctr tasks rm c 2>&1 | grep -o 143'
drop
check 'tasks kill --all, delete of one that runs' 'running task.* STOPPED|must be stopped.* STOPPED' \
    'run -d --with-ns pid:/proc/1/ns/pid $IMAGE c sh -c "sleep 3000 & sleep 3000"; ctr tasks rm c; ctr tasks kill --all -s KILL c; shows STOPPED ctr tasks ls | grep -o STOPPED; pgrep -xf "sleep 3000"'
drop
check 'run with limits' '^16777216 50000( 100000)? (512|20|59) $' \
    'run -d --memory-limit 16777216 --cpu-quota 50000 --cpu-period 100000 --cpu-shares 512 $IMAGE c sleep 1000; cd /sys/fs/cgroup; for file in $MEMORY $QUOTA $SHARES; do cat $(dirname $file)/default/c/$(basename $file); done'
drop
check 'events: oom' '/tasks/oom' 'ctr events >events & sleep $BEAT; run --rm --memory-limit 16777216 $IMAGE c sh -c "sleep $BEAT; exec tail /dev/zero"; sleep $BEAT; kill $!; pkill -x ctr; cat events'
check 'run --privileged, --net-host' '^same ' 'run --rm --privileged --net-host $IMAGE c readlink /proc/self/ns/net | grep -qxF "$(readlink /proc/self/ns/net)" && echo same'
check 'run --env, --cwd' '^v /tmp ' 'run --rm --env K=v --cwd /tmp $IMAGE c sh -c "echo \$K; pwd"'
check 'run --seccomp, --cap-add' 'Seccomp:.2' 'run --rm --seccomp --cap-add CAP_SYS_TIME $IMAGE c grep Seccomp: /proc/self/status'
check 'run --device, NoNewPrivs' 'NoNewPrivs:.1.*10, 200' 'run --rm --device /dev/net/tun $IMAGE c sh -c "grep NoNewPrivs /proc/self/status; ls -l /dev/net/tun"'
check 'run --cgroup' ':/mine/c ' 'run -d --cgroup /mine/c $IMAGE c sleep 1000; cat /proc/$(task)/cgroup'
drop
check 'run --read-only, --mount' 'Read-only.*shared' \
    'run --rm --read-only --mount type=bind,src=$WORK/shared,dst=/tmp,options=rbind:ro $IMAGE c sh -c "exec 2>&1; touch /new; cat /tmp/file"'
check 'run --uidmap' ' 0 +100000 +65536' 'run --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 $IMAGE c cat /proc/self/uid_map'
check 'run --config' '^given $' \
    '"$BERTH" spec; sed -i "s/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"echo\", \"given\"/; s#\"rootfs\"#\"$WORK/image\"#" config.json; run --rm --config config.json c; rm -f config.json'
check 'twenty at once' '^20 0 $' \
    'for i in {1..20}; do run -d $IMAGE many$i sleep 1000 >/dev/null & done; wait; ctr tasks ls | grep -c RUNNING
     for i in {1..20}; do ctr tasks kill -s KILL many$i; done; shows "^0" sh -c "ctr -a $WORK/containerd.sock tasks ls | grep -c RUNNING"; for i in {1..20}; do ctr tasks rm many$i; ctr containers rm many$i; done >/dev/null 2>&1'
ctr image rm "$IMAGE" >/dev/null
