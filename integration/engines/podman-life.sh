# shellcheck shell=bash disable=SC2016,SC2154
# Podman as root: the life of a container and the options of `run`; sourced by run.sh once per runtime.
run() { podman run --network none --name box "$@"; }
drop() { podman rm -f -t 0 box >/dev/null 2>&1; }
field() { podman inspect -f "{{$1}}" box; }
export -f run
start_podman

check 'run' '^hi 0 $' 'run --rm bb:1 echo hi; echo $?'
check 'exit status' '^7 137 $' 'run --rm bb:1 sh -c "exit 7"; echo $?; run --rm --pid host bb:1 sh -c "kill -9 \$\$"; echo $?'
check 'exit status 125, 126, 127, and messages' '125 .*permission denied.* 126 .*not found.* 127 .*not found.* 127 $' \
    'run --rm --nonsense bb:1 true; echo $?; for program in /etc/passwd /nosuch nosuch; do run --rm bb:1 $program 2>&1; echo $?; drop; done'
check 'run -it' '/dev/pts/0 30 100' 'on_terminal "run --rm -it bb:1 sh -c \"sleep $BEAT; tty; stty size\""'
drop
check 'run -i takes its input' '^piped $' 'echo piped | run --rm -i bb:1 cat'
check 'attach' 'typed' 'run -d -i bb:1 sh -c "read word; echo \$word; sleep 1" >/dev/null; (sleep $BEAT; echo typed) | podman attach box; podman logs box'
drop
check 'run -d, logs' '^one $' 'run -d bb:1 sh -c "echo one; sleep 1000" >/dev/null; shows one podman logs box'
check 'exec' '^in 5 $' 'podman exec box echo in; podman exec box sh -c "exit 5"; echo $?'
check 'exec -i, -d' '^piped made $' 'echo piped | podman exec -i box cat; podman exec -d box sh -c "echo made >/made" >/dev/null; shows made podman exec box cat /made'
check 'exec of what is not there, cannot be run' '127 .*127 .*126 $' 'for program in /nosuch nosuch /etc/passwd; do podman exec box $program; echo $?; done'
check 'exec --privileged, --preserve-fds' 'CapEff:.0+[13]f+[ef]ffffff here ' \
    'podman exec --privileged box grep CapEff /proc/self/status; podman exec --preserve-fds 1 box sh -c "cat <&3" 3< <(echo here)'
check 'exec sessions that are left are removed' '^0 $' 'podman exec -d box sh -c "echo \$\$ >/pid; exec sleep 3000" >/dev/null; sleep $BEAT; podman exec box sh -c "kill \$(cat /pid)"; sleep $BEAT; podman exec box sh -c "ps | grep -c [s]leep.3000"'
check 'exec -it' '/dev/pts/[0-9]' 'on_terminal "podman exec -it box tty"'
check 'exec -u -w -e' '^uid=1000.*/tmp b ' 'podman exec -u sailor -w /tmp -e A=b box sh -c "id; pwd; echo \$A"'
check 'top' 'sleep 1000' 'podman top box; podman top box -eo pid,args'
check 'stats' '[1-9]' 'podman stats --no-stream --format "{{.PIDs}}" box'
check 'pause, unpause' 'paused .*running ' 'podman pause box; podman inspect -f "{{.State.Status}}" box; podman unpause box; podman inspect -f "{{.State.Status}}" box'
check 'update' '67108864 50000 ' 'podman update --memory 64m --cpus 0.5 box >/dev/null; podman exec box sh -c "cd /sys/fs/cgroup; cat $MEMORY $QUOTA"'
check 'cp' '^there back ' 'echo there >f; podman cp f box:/f; podman exec box cat /f; podman exec box sh -c "echo back >/f"; podman cp box:/f f; cat f'
check 'rename, inspect' 'ship (berth|control) ' 'podman rename box ship; podman inspect -f "{{.Name}} {{.OCIRuntime}}" ship; podman rename ship box'
check 'stop after the grace period, start, restart' '137 true running $' \
    'begin=$SECONDS; podman stop -t 2 box >/dev/null; podman wait box; ((SECONDS - begin >= 2)) && echo true; podman start box >/dev/null; podman restart -t 0 box >/dev/null; field .State.Status'
check 'ps, port, mount of its namespaces' 'box' 'podman ps --ns --format "{{.Names}}"'
check 'kill, wait' '137 $' 'podman kill -s KILL box; podman wait box'
drop
check 'stop: SIGTERM' '3 $' 'run -d bb:1 sh -c "trap \"exit 3\" TERM; echo ready; while :; do sleep 0.1; done" >/dev/null; shows ready podman logs box >/dev/null; podman stop box; podman wait box'
drop
check '--stop-signal, kill -s USR1' 'heard box 9 $' \
    'run -d --stop-signal USR2 bb:1 sh -c "trap \"echo heard\" USR1; trap \"exit 9\" USR2; echo ready; while :; do sleep 0.1; done" >/dev/null; shows ready podman logs box >/dev/null; podman kill -s USR1 box >/dev/null; shows heard podman logs box; podman stop -t 20 box; podman wait box'
drop
check '--restart on-failure:2' '^2 $' 'run -d --restart on-failure:2 bb:1 sh -c "exit 1" >/dev/null; shows 2 field .RestartCount'
drop
check '-m: OOM' '^137 $' 'run -m 16m --memory-swap 16m bb:1 tail /dev/zero; echo $?'
drop
check 'healthcheck' '^0 healthy 1 $' 'run -d --health-cmd "[ ! -e /ill ]" --health-interval disable bb:1 sleep 1000 >/dev/null; podman healthcheck run box; echo $?; field .State.Health.Status; podman exec box touch /ill; podman healthcheck run box >/dev/null 2>&1; echo $?'
drop
check '--init' '^1 [a-z-]*(init|catatonit|tini)' 'run --rm --init --init-path $(command -v docker-init catatonit | head -n 1) bb:1 sh -c "echo 1 \$(cat /proc/1/comm)"'
check '--cap-drop, --cap-add' 'CapEff:.0000000000002000 ' 'run --rm --cap-drop all --cap-add NET_RAW bb:1 grep CapEff /proc/self/status'
check '--read-only, --tmpfs' 'Read-only.*written ' 'run --rm --read-only --tmpfs /t bb:1 sh -c "exec 2>&1; touch /new; echo written >/t/f; cat /t/f"'
check '--uidmap' ' 0 +100000 +65536' 'run --rm --uidmap 0:100000:65536 bb:1 sh -c "echo; cat /proc/self/uid_map"'
check '--privileged' '^mounted ' 'run --rm --privileged bb:1 sh -c "mount -t tmpfs x /tmp && echo mounted"'
check '--cgroups disabled' '^in ' 'run --rm --cgroups disabled bb:1 echo in'
check '--cgroups no-conmon' '^in 137 ' 'run -d --cgroups no-conmon bb:1 sleep 1000 >/dev/null; podman exec box echo in; podman kill box >/dev/null; podman wait box'
drop
if [[ $CGROUP == 1 ]]; then
    # Podman puts the container below the cgroup that it is in itself.
    for hierarchy in /sys/fs/cgroup/*/; do
        mkdir "$hierarchy/own"
        for file in cpuset.cpus cpuset.mems; do [[ ! -e $hierarchy$file ]] || cat "$hierarchy$file" >"$hierarchy/own/$file"; done
    done
    check '--cgroups split' 'memory:/own/' \
        'for hierarchy in /sys/fs/cgroup/*/; do echo $BASHPID >$hierarchy/own/cgroup.procs; done; run --rm --cgroups split --cgroupns host bb:1 cat /proc/self/cgroup'
    find /sys/fs/cgroup/*/own -depth -type d -exec rmdir {} +
fi
check '--cgroups enabled, --cgroup-parent' ':/mine(/|.slice/libpod-)' 'run --rm --cgroup-parent $([[ $DRIVER == systemd ]] && echo mine.slice || echo /mine) --cgroupns host bb:1 cat /proc/self/cgroup'
check '--cgroupns private' '(^| )0::/ ' 'run --rm --cgroupns private bb:1 cat /proc/self/cgroup'
check '--network host, --pid host' '^same ' 'podman run --rm --network host --pid host bb:1 readlink /proc/self/ns/net | grep -qxF "$(readlink /proc/self/ns/net)" && echo same'
check '-m, --cpus, --cpuset-cpus, --pids-limit' '^33554432 150000( 100000)? 0 20 $' \
    'run --rm -m 32m --cpus 1.5 --cpuset-cpus 0 --pids-limit 20 bb:1 sh -c "cd /sys/fs/cgroup; cat $MEMORY $QUOTA $CPUS $PIDS"'
check '--ulimit, --oom-score-adj, --shm-size' '^512 500 .* 32768 ' 'run --rm --ulimit nofile=512:512 --ulimit nproc=4096:4096 --oom-score-adj 500 --shm-size 32m bb:1 sh -c "ulimit -n; cat /proc/self/oom_score_adj; df -k /dev/shm"'
check '--device, --device-cgroup-rule' '^crw.* 10, *200' 'run --rm --device /dev/net/tun:/dev/mine --device-cgroup-rule "c 1:11 rw" bb:1 ls -l /dev/mine'
echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}' >profile.json
check 'seccomp=FILE, no-new-privileges' 'not permitted.*NoNewPrivs:.1' 'run --rm --security-opt seccomp=profile.json --security-opt no-new-privileges bb:1 sh -c "exec 2>&1; mkdir /new; grep NoNewPrivs /proc/self/status"'
check 'mask=, unmask=ALL' '^0 0 ' 'run --rm --security-opt mask=/etc/group bb:1 sh -c "wc -c </etc/group"; run --rm --security-opt unmask=ALL bb:1 grep -c " /proc/" /proc/mounts'
check '--user, --group-add, --umask, --workdir, --env' '^uid=1000.*gid=1001.*5.* 0027 /tmp v ' 'run --rm --user sailor --group-add 5 --umask 0027 -w /tmp -e K=v bb:1 sh -c "id; umask; pwd; echo \$K"'
check '--sysctl, --hostname, --domainname' '^1234 vessel ' 'run --rm --sysctl kernel.shmmni=1234 --hostname vessel bb:1 sh -c "cat /proc/sys/kernel/shmmni; hostname"'
check '--ipc, --uts, --pid host' '^same same same ' 'for name in ipc uts pid; do [[ $(run --rm --$name host bb:1 readlink /proc/self/ns/$name) == "$(readlink /proc/self/ns/$name)" ]] && echo same; done'
check '--pid, --ipc, --network container:' '^sleep 1000 1 1 ' \
    'run -d --ipc shareable bb:1 sleep 1000 >/dev/null; podman run --rm --pid container:box --ipc container:box --network container:box bb:1 sh -c "tr \"\\0\" \" \" </proc/1/cmdline; for name in ipc net; do [ \$(readlink /proc/1/ns/\$name) = \$(readlink /proc/self/ns/\$name) ] && echo 1; done"'
drop
check '-v ro, a volume, --mount, --tmpfs' 'shared Read-only.* kept ' \
    'run --rm -v $WORK/shared:/v:ro -v vol:/w --mount type=tmpfs,dst=/t,tmpfs-size=1m bb:1 sh -c "exec 2>&1; cat /v/file; touch /v/new; echo kept >/w/f; cat /w/f" | sed "s/.*Read-only/Read-only/"; podman volume rm vol >/dev/null'
mkdir -p shared-mount && mount -t tmpfs --make-shared tmpfs shared-mount
check '-v rshared, rslave, rprivate' '^shared master none $' \
    'mounts() { run --rm -v "$WORK/shared-mount:/v:$1" bb:1 grep " /v " /proc/self/mountinfo | grep -oE "$2" || echo none; }
     mounts rshared shared; mounts rslave master; mounts rprivate "shared|master"'
umount shared-mount
check '--systemd=always' '^/sbin/init tmpfs tmpfs (cgroup.* )?podman ' \
    'run --rm --systemd=always bb:1 sh -c "echo /sbin/init; awk \"\\\$2 ~ /^.(run|tmp)\$/ {print \\\$3}\" /proc/mounts; awk \"\\\$2 ~ /systemd/ {print \\\$3}\" /proc/mounts; echo \$container"'
check '--userns=auto' '^0 [1-9][0-9]* ' 'grep -q ^containers: /etc/subuid || { echo containers:200000:200000 >>/etc/subuid; echo containers:200000:200000 >>/etc/subgid; }; run --rm --userns=auto bb:1 cat /proc/self/uid_map | tr -s " " | sed "s/^ //"'
check '--network bridge' 'eth0:' 'podman run --rm bb:1 cat /proc/net/dev'
check 'ten at once' '^10 0 $' \
    'for i in {1..10}; do podman run -d --network none --name many$i bb:1 sleep 1000 >/dev/null & done; wait; podman ps -q | wc -l; podman rm -f -t 0 -a >/dev/null; podman ps -q | wc -l'
end_podman
