# shellcheck shell=bash disable=SC2016,SC2154
# Scenarios of Podman; sourced by run.sh once per runtime.
run() { podman run --network none --name box "$@"; }
drop() { podman rm -f -t 0 box >/dev/null 2>&1; }
export -f run

check 'run' '^hi 0 $' 'run --rm bb:1 echo hi; echo $?'
check 'exit status' '^7 $' 'run --rm bb:1 sh -c "exit 7"; echo $?'
check 'exit status 126, 127' '126 .*127 $' 'run --rm bb:1 /etc/passwd; echo $?; drop; run --rm bb:1 /nosuch; echo $?; drop'
check 'run -it' '/dev/pts/0 30 100' 'on_terminal "run --rm -it bb:1 sh -c \"sleep 1; tty; stty size\""'
drop
check 'run -d, logs' '^one $' 'run -d bb:1 sh -c "echo one; sleep 1000" >/dev/null; sleep 1; podman logs box'
check 'exec' '^in 5 $' 'podman exec box echo in; podman exec box sh -c "exit 5"; echo $?'
check 'exec: not there' '127 $' 'podman exec box /nosuch; echo $?'
check 'exec -it' '/dev/pts/[0-9]' 'on_terminal "podman exec -it box tty"'
check 'exec -u -w -e' '^uid=1000.*/tmp b ' 'podman exec -u sailor -w /tmp -e A=b box sh -c "id; pwd; echo \$A"'
check 'top' 'sleep 1000' 'podman top box'
check 'stats' '[1-9]' 'podman stats --no-stream --format "{{.PIDs}}" box'
check 'pause, unpause' 'paused .*running ' 'podman pause box; podman inspect -f "{{.State.Status}}" box; podman unpause box; podman inspect -f "{{.State.Status}}" box'
check 'update' '67108864' 'podman exec box true; podman update --memory 64m box; podman exec box cat /sys/fs/cgroup/memory/memory.limit_in_bytes'
check 'cp' '^there ' 'echo there >$WORK/f; podman cp $WORK/f box:/f; podman exec box cat /f'
check 'kill, wait' '137 $' 'podman kill -s KILL box; podman wait box'
drop
check 'stop: SIGTERM' '3 $' 'run -d bb:1 sh -c "trap \"exit 3\" TERM; while :; do sleep 0.1; done" >/dev/null; sleep 1; podman stop box; podman wait box'
drop
check '-m: OOM' '^137 $' 'run -m 16m --memory-swap 16m bb:1 tail /dev/zero; echo $?'
drop
check 'healthcheck' '^0 $' 'run -d --health-cmd "echo well" --health-interval disable bb:1 sleep 1000 >/dev/null; podman healthcheck run box; echo $?'
drop
check '--init' '^1 [a-z-]*(init|catatonit|tini)' 'run --rm --init --init-path /usr/bin/docker-init bb:1 sh -c "echo 1 \$(cat /proc/1/comm)"'
check '--cap-drop, --cap-add' 'CapEff:.0000000000002000 ' 'run --rm --cap-drop all --cap-add NET_RAW bb:1 grep CapEff /proc/self/status'
check '--read-only, --tmpfs' 'Read-only.*written ' 'run --rm --read-only --tmpfs /t bb:1 sh -c "exec 2>&1; touch /new; echo written >/t/f; cat /t/f"'
check '--uidmap' ' 0 +100000 +65536' 'run --rm --uidmap 0:100000:65536 bb:1 sh -c "echo; cat /proc/self/uid_map"'
check '--privileged' '^mounted ' 'run --rm --privileged bb:1 sh -c "mount -t tmpfs x /tmp && echo mounted"'
check '--cgroups disabled' '^in ' 'run --rm --cgroups disabled bb:1 echo in'
check '--network host, --pid host' '^same ' 'podman run --rm --network host --pid host bb:1 readlink /proc/self/ns/net | grep -qxF "$(readlink /proc/self/ns/net)" && echo same'
check 'pod' '^p member gone $' \
    'podman pod create --name p --network none --hostname p --infra-image bb:1 --infra-command "sleep 1000" >/dev/null; podman run --rm --pod p bb:1 sh -c "hostname; echo member"; podman pod rm -f -t 0 p >/dev/null; podman pod exists p || echo gone'
printf 'FROM bb:1\nRUN echo built >/built\nCMD ["cat", "/built"]\n' >"$WORK/Dockerfile"
check 'build' 'built $' 'podman build -q --network none --isolation oci -t built -f $WORK/Dockerfile $WORK/shared >/dev/null; run --rm localhost/built'
cat >"$WORK/pod.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: cube}
spec:
  hostNetwork: true
  containers:
  - name: box
    image: localhost/bb:1
    command: [/bin/sh, -c, 'echo "\$WORD"; sleep 1000']
    env: [{name: WORD, value: played}]
    resources: {limits: {memory: 64Mi}}
YAML
check 'kube play, kube down' 'played .*gone $' \
    'podman play kube $WORK/pod.yaml; sleep 1; podman logs cube-box; podman play kube --down $WORK/pod.yaml; podman pod exists cube || echo gone'
