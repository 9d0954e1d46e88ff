# shellcheck shell=bash disable=SC2016,SC2154
# Docker: the options of `run`; sourced by run.sh once per runtime.
run() { docker run --rm --runtime "$RUNTIME" --network none "$@"; }
export -f run
start_docker docker '"iptables": false, "bridge": "none"'
# The namespace of this name in a container with these options, against that of a process here.
namespace() {
    local name=$1
    shift
    [[ $(run "$@" bb:1 readlink "/proc/self/ns/$name") == "$(readlink "/proc/self/ns/$name")" ]] && echo same || echo other
}

check '-m, --memory-swap, --memory-reservation' '^33554432 (67108864|33554432) 16777216 $' \
    'run -m 32m --memory-swap 64m --memory-reservation 16m bb:1 sh -c "cd /sys/fs/cgroup; cat $MEMORY $SWAP $RESERVATION"'
if [[ $CGROUP == 1 ]]; then
    check '--memory-swappiness' '^10 ' 'run --memory-swappiness 10 bb:1 cat /sys/fs/cgroup/memory/memory.swappiness'
    check '--oom-kill-disable' 'oom_kill_disable 1 ' 'run -m 32m --oom-kill-disable bb:1 cat /sys/fs/cgroup/memory/memory.oom_control'
else
    impossible '--memory-swappiness, --oom-kill-disable' 'cgroup v2 has neither, Docker drops them with a warning'
fi
check '--cpus, --cpu-shares' '^150000 (100000 )?(512|20|59) ' \
    'run --cpus 1.5 --cpu-shares 512 bb:1 sh -c "cd /sys/fs/cgroup; cat $QUOTA $SHARES"'
check '--cpu-quota, --cpu-period' '^20000 50000 ' 'run --cpu-quota 20000 --cpu-period 50000 bb:1 sh -c "cd /sys/fs/cgroup; cat $QUOTA ${QUOTA/%quota_us/period_us}"'
check '--cpuset-cpus, --cpuset-mems' '^0 0 Cpus_allowed_list:.0 ' \
    'run --cpuset-cpus 0 --cpuset-mems 0 bb:1 sh -c "cd /sys/fs/cgroup; cat $CPUS ${CPUS/%cpus/mems}; grep Cpus_allowed_list /proc/self/status"'
check '--pids-limit' '^20 .*fork' 'run --pids-limit 20 bb:1 sh -c "exec 2>&1; cat /sys/fs/cgroup/$PIDS; for i in \$(seq 30); do sleep 1 & done"'
if [[ $CGROUP == 1 ]]; then
    check '--device-read-bps' '1048576 $' \
        'device=$(lsblk -dnpo NAME | head -1); run --device-read-bps $device:1mb bb:1 cat /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device'
else
    impossible '--device-read-bps' 'Docker 26 drops it: the configuration that runtimes get has an empty `blockIO`'
fi
check '--ulimit' '^512 100 ' 'run --ulimit nofile=512:512 --ulimit nproc=100 bb:1 sh -c "ulimit -n; awk \"/processes/ {print \\\$3}\" /proc/self/limits"'
check '--oom-score-adj' '^500 ' 'run --oom-score-adj 500 bb:1 cat /proc/self/oom_score_adj'
check '--shm-size' ' 32768 ' 'run --shm-size 32m bb:1 df -k /dev/shm'
check '--tmpfs' 'rw,nosuid,nodev,noexec,relatime.*size=1024k' 'run --tmpfs /t:size=1m,mode=700 bb:1 grep " /t " /proc/mounts'
check '--read-only' 'Read-only.*written ' 'run --read-only --tmpfs /tmp bb:1 sh -c "exec 2>&1; touch /new; echo written >/tmp/f; cat /tmp/f"'
check '--device' '^crw.* 10, *200' 'run --device /dev/net/tun:/dev/mine bb:1 ls -l /dev/mine'
check '--device with rights' '^open .*not permitted' 'run --device /dev/loop-control:/dev/mine:r bb:1 sh -c "exec 2>&1; : </dev/mine && echo open; : >/dev/mine"'
check '--device is the only one' 'not permitted' 'run --device /dev/net/tun bb:1 sh -c "mknod /dev/k c 1 11; cat /dev/k"'
check '--device-cgroup-rule' '^open .*not permitted' 'run --device-cgroup-rule "c 10:237 rm" bb:1 sh -c "exec 2>&1; mknod /dev/k c 10 237; : </dev/k && echo open; : >/dev/k"'
check '--privileged' '^mounted Seccomp:.0 ' 'run --privileged bb:1 sh -c "mount -t tmpfs x /tmp && echo mounted; grep Seccomp: /proc/self/status"'
check '--privileged: devices, /sys, nothing masked' '^open rw tun 0 $' \
    'run --privileged bb:1 sh -c "mknod /dev/k c 10 237; : <>/dev/k && echo open; grep -o \"/sys sysfs rw\" /proc/mounts | cut -c12-; ls /dev/net; grep -c /proc/ /proc/mounts"'
check 'masked and read-only paths' '^0 .*Read-only' 'run bb:1 sh -c "exec 2>&1; cat /proc/keys | wc -c; echo 1 >/proc/sys/kernel/panic"'
check 'systempaths=unconfined' '^0 $' 'run --security-opt systempaths=unconfined bb:1 grep -c " /proc/" /proc/mounts'
check '--cap-drop, --cap-add' 'CapEff:.0000000000002000 ' 'run --cap-drop all --cap-add NET_RAW bb:1 grep CapEff /proc/self/status'
check '--cap-add as a user' 'CapEff:.0000000000000000 CapBnd:.0000000000001000' 'run --user 1000 --cap-drop all --cap-add NET_ADMIN bb:1 grep -E "CapEff|CapBnd" /proc/self/status'
check 'the default seccomp profile' 'Seccomp:.2 .*not permitted' 'run bb:1 sh -c "exec 2>&1; grep Seccomp: /proc/self/status; unshare -m true"'
check 'seccomp=unconfined' 'Seccomp:.0 ' 'run --security-opt seccomp=unconfined bb:1 grep Seccomp: /proc/self/status'
echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}' >profile.json
check 'seccomp=FILE' 'not permitted' 'run --security-opt seccomp=profile.json bb:1 mkdir /new'
check 'no-new-privileges' 'NoNewPrivs:.1 ' 'run --security-opt no-new-privileges bb:1 grep NoNewPrivs /proc/self/status'
check '--user, --group-add' '^uid=1000.*gid=1001.*5' 'run --user sailor --group-add 5 bb:1 id'
check '--user in numbers' '^uid=4000 gid=5000 ' 'run --user 4000:5000 bb:1 id'
check '--user that is not there' 'unable to find user nobody' 'run --user nobody bb:1 id'
check '--pid host' '^same ' 'namespace pid --pid host'
check '--pid private' '^other 1 ' 'namespace pid; run bb:1 sh -c "echo \$\$"'
check '--ipc host, private, none' '^same other other ' 'namespace ipc --ipc host; namespace ipc --ipc private; namespace ipc --ipc none'
check '--uts host, --hostname' '^same other vessel ' 'namespace uts --uts host; namespace uts; run --hostname vessel bb:1 hostname'
check '--domainname, --add-host' '^sea .*10.1.2.3.*port' 'run --domainname sea bb:1 cat /proc/sys/kernel/domainname; docker run --rm --runtime $RUNTIME --network host --add-host port:10.1.2.3 bb:1 grep port /etc/hosts'
check '--cgroupns private, host' '^0::/ (.* )?([0-9]+:memory:/docker/|0::/system.slice/docker-)[0-9a-f]+' \
    'run --cgroupns private bb:1 grep "^0::" /proc/self/cgroup; run --cgroupns host bb:1 cat /proc/self/cgroup'
check '--network host' '^same ' \
    'docker run --rm --runtime $RUNTIME --network host bb:1 readlink /proc/self/ns/net | grep -qxF "$(readlink /proc/self/ns/net)" && echo same'
check '--network none' '^other lo: $' 'namespace net; run bb:1 sh -c "tail -n +3 /proc/net/dev | awk \"{print \\\$1}\""'
check '--ipc shareable, container:' '^same ' \
    'run -d --name box --ipc shareable bb:1 sleep 1000 >/dev/null; run --ipc container:box bb:1 readlink /proc/self/ns/ipc | grep -qxF "$(docker exec box readlink /proc/self/ns/ipc)" && echo same; docker rm -f box >/dev/null'
check '--sysctl' '^1234 1 ' 'run --sysctl kernel.shmmni=1234 --sysctl net.ipv4.ip_forward=1 bb:1 cat /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_forward'
check '--sysctl of the host is refused' 'not (allowed|whitelisted)' 'run --sysctl kernel.panic=1 bb:1 true'
check '-v ro' '^shared .*Read-only' 'run -v $WORK/shared:/v:ro bb:1 sh -c "exec 2>&1; cat /v/file; touch /v/new"'
check '-v rw, a volume' '^1 2 ' 'run -v $WORK/shared:/v -v vol:/w bb:1 sh -c "echo 1 >/v/new; echo 2 >/w/new; cat /v/new /w/new"; docker volume rm vol >/dev/null; rm -f $WORK/shared/new'
check '-v of one file' '^shared ' 'run -v $WORK/shared/file:/etc/file bb:1 cat /etc/file'
mkdir -p shared-mount && mount -t tmpfs --make-shared tmpfs shared-mount
check '-v rshared, rslave, rprivate' '^shared master none $' \
    'mounts() { run -v "$WORK/shared-mount:/v:$1" bb:1 grep " /v " /proc/self/mountinfo | grep -oE "$2" || echo none; }
     mounts rshared shared; mounts rslave master; mounts rprivate "shared|master"'
check '-v rshared: a mount comes out' '^out $' \
    'run --privileged -v $WORK/shared-mount:/v:rshared bb:1 sh -c "mkdir /v/m; mount -t tmpfs x /v/m; echo out >/v/m/f"; cat shared-mount/m/f; umount shared-mount/m'
check '-v rslave: a mount goes in' '^in $' \
    'run -d --name box -v $WORK/shared-mount:/v:rslave bb:1 sleep 1000 >/dev/null; mkdir shared-mount/n; mount -t tmpfs x shared-mount/n; echo in >shared-mount/n/f; docker exec box cat /v/n/f; umount shared-mount/n; docker rm -f box >/dev/null'
umount shared-mount
check '--mount bind, volume, tmpfs' '^shared Read-only.* kept .*size=1024k' \
    'run --mount type=bind,src=$WORK/shared,dst=/b,readonly --mount type=volume,src=vol,dst=/w --mount type=tmpfs,dst=/t,tmpfs-size=1m bb:1 sh -c "exec 2>&1; cat /b/file; touch /b/x; echo kept >/w/f; cat /w/f; grep \" /t \" /proc/mounts" | sed "s/.*Read-only/Read-only/"; docker volume rm vol >/dev/null'
check '--mount bind-propagation, bind-nonrecursive' 'shared $' 'run --mount type=bind,src=$WORK/shared,dst=/b,bind-propagation=private,bind-nonrecursive=true bb:1 cat /b/file'
check '--volumes-from' '^from $' \
    'docker create --runtime $RUNTIME --network none --name box -v /data bb:1 true >/dev/null; run --volumes-from box bb:1 sh -c "echo from >/data/f"; run --volumes-from box bb:1 cat /data/f; docker rm -v box >/dev/null'
check '--workdir, --env, --env-file' '^/made/here v w ' 'echo L=w >env; run -w /made/here -e K=v --env-file env bb:1 sh -c "pwd; echo \$K; echo \$L"'
check '--entrypoint' '^given $' 'run --entrypoint echo bb:1 given'
check '--cgroup-parent' ':/mine(/|.slice/docker-)' 'run --cgroup-parent $([[ $DRIVER == systemd ]] && echo mine.slice || echo /mine) --cgroupns host bb:1 cat /proc/1/cgroup'
check '--log-driver none, --label' '^quiet $' 'run --log-driver none --label a=b bb:1 echo quiet'
end_docker
