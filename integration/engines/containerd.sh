# shellcheck shell=bash disable=SC2016,SC2154
# Scenarios of containerd by ctr; sourced by run.sh once per runtime.
IMAGE=docker.io/library/bb:1
run() { ctr run --runc-binary "$BINARY" "$@"; }
export IMAGE
export -f run
drop() { ctr tasks kill -s KILL c; sleep 1; ctr tasks rm c; ctr containers rm c; } >/dev/null 2>&1

check 'run' '^hi 0 $' 'run --rm $IMAGE c echo hi; echo $?'
check 'exit status' '^7 $' 'run --rm $IMAGE c sh -c "exit 7"; echo $?'
check 'run -t' '/dev/pts/0 ' 'on_terminal "run --rm -t $IMAGE c tty"'
check 'a program that is not there' 'no such file or directory' 'run --rm $IMAGE c /nosuch'
check 'run -d' 'RUNNING' 'run -d $IMAGE c sleep 1000; ctr tasks ls'
check 'tasks exec' '^in 5 $' 'ctr tasks exec --exec-id a c echo in; ctr tasks exec --exec-id b c sh -c "exit 5"; echo $?'
check 'tasks exec -t' '/dev/pts/[0-9]' 'on_terminal "ctr tasks exec -t --exec-id t c tty"'
check 'tasks exec of a program that is not there' 'no such file or directory' 'ctr tasks exec --exec-id n c /nosuch'
check 'tasks ps' '^PID +INFO [0-9]+ ' 'ctr tasks ps c'
check 'tasks metrics' 'memory.usage_in_bytes +[1-9]' 'ctr tasks metrics c'
check 'tasks pause, resume' 'PAUSED.*RUNNING' 'ctr tasks pause c; ctr tasks ls; ctr tasks resume c; ctr tasks ls'
check 'tasks kill' 'STOPPED' 'ctr tasks kill -s KILL c; sleep 1; ctr tasks ls'
check 'tasks rm, containers rm' '^gone $' 'ctr tasks rm c >/dev/null 2>&1; ctr containers rm c; ctr containers ls -q | grep -qx c || echo gone'
drop
check 'run with limits' '^16777216 $' \
    'run -d --memory-limit 16777216 $IMAGE c sleep 1000; cat /sys/fs/cgroup/memory/default/c/memory.limit_in_bytes'
drop
check 'run --privileged, --net-host' '^same ' 'run --rm --privileged --net-host $IMAGE c readlink /proc/self/ns/net | grep -qxF "$(readlink /proc/self/ns/net)" && echo same'
check 'run --env, --cwd' '^v /tmp ' 'run --rm --env K=v --cwd /tmp $IMAGE c sh -c "echo \$K; pwd"'
check 'run --seccomp, --cap-add' 'Seccomp:.2' 'run --rm --seccomp --cap-add CAP_SYS_TIME $IMAGE c grep Seccomp: /proc/self/status'
mkdir -p "$WORK/shared" && echo shared >"$WORK/shared/file"
check 'run --read-only, --mount' 'Read-only.*shared' \
    'run --rm --read-only --mount type=bind,src=$WORK/shared,dst=/tmp,options=rbind:ro $IMAGE c sh -c "exec 2>&1; touch /new; cat /tmp/file"'
