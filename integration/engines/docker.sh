# shellcheck shell=bash disable=SC2016,SC2154
# Scenarios of Docker; sourced by run.sh once per runtime. The scripts are evaluated by `check`.
run() { docker run --runtime "$RUNTIME" --network none --name box "$@"; }
drop() { docker rm -f box >/dev/null 2>&1; }
export -f run

check 'run' '^hi 0 $' 'run --rm bb:1 echo hi; echo $?'
check 'exit status of the program' '^7 $' 'run --rm bb:1 sh -c "exit 7"; echo $?'
check 'exit status 125, 126, 127' '125 .*126 .*127 $' \
    'run --rm --cpus 1000 bb:1 true; echo $?; drop; run --rm bb:1 /etc/passwd; echo $?; drop; run --rm bb:1 /nosuch; echo $?'
check 'run -it' '/dev/pts/0 30 100' 'on_terminal "run --rm -it bb:1 sh -c \"sleep 1; tty; stty size\""'
check 'run -i takes its input' '^piped $' 'echo piped | run --rm -i bb:1 cat'

drop
check 'run -d, logs' '^one two $' 'run -d bb:1 sh -c "echo one; echo two; sleep 1000" >/dev/null; sleep 1; docker logs box'
check 'exec' '^in $' 'docker exec box echo in'
check 'exec: exit status' '^5 12[67] $' 'docker exec box sh -c "exit 5"; echo $?; docker exec box /nosuch >/dev/null 2>&1; echo $?'
check 'exec -it' '/dev/pts/[0-9]+ 30 100' 'on_terminal "docker exec -it box sh -c \"sleep 1; tty; stty size\""'
check 'exec -u -w -e' '^uid=1000.*1002\(crew\) /tmp b ' 'docker exec -u sailor -w /tmp -e A=b box sh -c "id; pwd; echo \$A"'
check 'exec -d' '^made $' 'docker exec -d box sh -c "echo made >/made"; sleep 1; docker exec box cat /made'
check 'top' 'sleep 1000' 'docker top box'
check 'stats' '[0-9.]+.iB .* [1-9]' 'docker stats --no-stream --format "{{.MemUsage}} {{.PIDs}}" box'
check 'pause, unpause' '^box paused box running $' \
    'docker pause box; docker inspect -f "{{.State.Status}}" box; docker unpause box; docker inspect -f "{{.State.Status}}" box'
check 'update -m --cpus' '^box 67108864 50000 $' \
    'docker update -m 64m --memory-swap 64m --cpus 0.5 box; docker exec box cat /sys/fs/cgroup/memory/memory.limit_in_bytes; docker exec box cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us'
check 'cp both ways' '^there back $' \
    'echo there >$WORK/f; docker cp $WORK/f box:/f; docker exec box cat /f; docker exec box sh -c "echo back >/f"; docker cp box:/f $WORK/f; cat $WORK/f'
check '--pid, --network of another container' '^ *1 .*sleep 1000.* same ' \
    'docker run --rm --runtime $RUNTIME --network container:box --pid container:box bb:1 sh -c "ps -o pid,args | grep sleep | head -1; [ \$(readlink /proc/1/ns/net) = \$(readlink /proc/self/ns/net) ] && echo same"'
check 'exec in a paused container' 'paused' 'docker pause box; docker exec box true 2>&1; docker unpause box'
check 'kill -s, wait' '^box 137 $' 'docker kill -s KILL box; docker wait box'
drop
check 'stop: SIGTERM' '^box 3 $' \
    'run -d bb:1 sh -c "trap \"exit 3\" TERM; while :; do sleep 0.1; done" >/dev/null; sleep 1; docker stop box; docker wait box'
drop
check 'kill -s USR1' '^box heard ' \
    'run -d bb:1 sh -c "trap \"echo heard\" USR1; while :; do sleep 0.1; done" >/dev/null; sleep 1; docker kill -s USR1 box; sleep 1; docker logs box'
drop
check '--ipc shareable, container:' '^same ' \
    'run -d --ipc shareable bb:1 sleep 1000 >/dev/null; docker run --rm --runtime $RUNTIME --network none --ipc container:box bb:1 readlink /proc/self/ns/ipc | grep -qxF "$(docker exec box readlink /proc/self/ns/ipc)" && echo same'
drop
check 'stop: SIGKILL at last' '^box 137 $' 'run -d bb:1 sleep 1000 >/dev/null; docker stop -t 1 box; docker wait box'
check 'start again, restart' '^box box running $' 'docker start box; docker restart -t 0 box; docker inspect -f "{{.State.Status}}" box'
drop
check '-m: OOM' '^137 true $' \
    'run -m 16m --memory-swap 16m bb:1 tail /dev/zero; echo $?; sleep 1; docker inspect -f "{{.State.OOMKilled}}" box'
drop
check '--restart' '^[1-9]' 'run -d --restart always bb:1 sh -c "sleep 0.3; exit 1" >/dev/null; sleep 4; docker inspect -f "{{.RestartCount}}" box'
drop
check '--health-cmd' '^healthy $' \
    'run -d --health-cmd "echo well" --health-interval 1s bb:1 sleep 1000 >/dev/null; sleep 4; docker inspect -f "{{.State.Health.Status}}" box'
drop
check '--init' '^1 (docker-init|tini|/sbin/docker-init)' 'run --rm --init bb:1 sh -c "echo 1 \$(cat /proc/1/comm)"'
check '--user, --group-add' '^uid=1000.*gid=1001.*5' 'run --rm --user sailor --group-add 5 bb:1 id'
check '--cap-drop, --cap-add' 'CapEff:.0000000000002000 ' 'run --rm --cap-drop all --cap-add NET_RAW bb:1 grep CapEff /proc/self/status'
check 'the default seccomp profile' 'Seccomp:.2 .*not permitted' 'run --rm bb:1 sh -c "exec 2>&1; grep Seccomp: /proc/self/status; unshare -m true"'
check 'seccomp=unconfined' 'Seccomp:.0 ' 'run --rm --security-opt seccomp=unconfined bb:1 grep Seccomp: /proc/self/status'
echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}' >"$WORK/profile.json"
check 'seccomp=profile' 'not permitted' 'run --rm --security-opt seccomp=$WORK/profile.json bb:1 mkdir /new'
check 'no-new-privileges' 'NoNewPrivs:.1 ' 'run --rm --security-opt no-new-privileges bb:1 grep NoNewPrivs /proc/self/status'
check '--read-only, --tmpfs' 'Read-only.*written ' 'run --rm --read-only --tmpfs /tmp bb:1 sh -c "exec 2>&1; touch /new; echo written >/tmp/f; cat /tmp/f"'
check '--shm-size' ' 32768 ' 'run --rm --shm-size 32m bb:1 df -k /dev/shm'
check '--ulimit' '^512 ' 'run --rm --ulimit nofile=512:512 bb:1 sh -c "ulimit -n"'
check '--pid host' '^[0-9]+ host ' 'run --rm --pid host bb:1 sh -c "echo \$\$; [ \$\$ -gt 1 ] && echo host"'
check '--ipc host' '^same ' 'run --rm --ipc host bb:1 readlink /proc/self/ns/ipc | grep -qxF "$(readlink /proc/self/ns/ipc)" && echo same'
check '--network host' '^same ' \
    'docker run --rm --runtime $RUNTIME --network host bb:1 readlink /proc/self/ns/net | grep -qxF "$(readlink /proc/self/ns/net)" && echo same'
check '--uts, --hostname' '^vessel ' 'run --rm --hostname vessel bb:1 hostname'
check '--sysctl' '^1234 ' 'run --rm --sysctl kernel.shmmni=1234 bb:1 cat /proc/sys/kernel/shmmni'
check '--pids-limit' '^20 ' 'run --rm --pids-limit 20 bb:1 cat /sys/fs/cgroup/pids/pids.max'
mkdir -p "$WORK/shared" && echo shared >"$WORK/shared/file"
check '-v ro' '^shared .*Read-only' 'run --rm -v $WORK/shared:/v:ro bb:1 sh -c "exec 2>&1; cat /v/file; touch /v/new"'
check '-v rw, a volume' '^1 2 ' 'run --rm -v $WORK/shared:/v -v vol:/w bb:1 sh -c "echo 1 >/v/new; echo 2 >/w/new; cat /v/new /w/new"'
mkdir -p "$WORK/shared-mount" && mount -t tmpfs --make-shared tmpfs "$WORK/shared-mount"
check '-v rshared, rslave, rprivate' '^shared master none $' \
    'mounts() { run --rm -v "$WORK/shared-mount:/v:$1" bb:1 grep " /v " /proc/self/mountinfo | grep -oE "$2" || echo none; }
     mounts rshared shared; mounts rslave master; mounts rprivate "shared|master"'
umount "$WORK/shared-mount"
check '--device' '^crw.* 10, *200' 'run --rm --device /dev/net/tun:/dev/mine bb:1 ls -l /dev/mine'
check '--device is the only one' 'not permitted' 'run --rm --device /dev/net/tun bb:1 sh -c "mknod /dev/k c 1 11; cat /dev/k"'
check '--privileged' '^mounted Seccomp:.0 ' 'run --rm --privileged bb:1 sh -c "mount -t tmpfs x /tmp && echo mounted; grep Seccomp: /proc/self/status"'
check '--workdir, --env' '^/made/here v ' 'run --rm -w /made/here -e K=v bb:1 sh -c "pwd; echo \$K"'
check '--cpuset-cpus' '^0 ' 'run --rm --cpuset-cpus 0 bb:1 cat /sys/fs/cgroup/cpuset/cpuset.cpus'
check '--oom-score-adj' '^500 ' 'run --rm --oom-score-adj 500 bb:1 cat /proc/self/oom_score_adj'
check '--cgroup-parent' '/mine/' 'run --rm --cgroup-parent /mine bb:1 cat /proc/1/cgroup; '
printf 'FROM bb:1\nRUN echo built >/built\nRUN id >>/built\nCMD ["cat", "/built"]\n' >"$WORK/Dockerfile"
check 'the image built with RUN runs' '^built uid=0' \
    'docker build -q --network none -t built - <$WORK/Dockerfile >/dev/null; run --rm built'
