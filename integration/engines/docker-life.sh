# shellcheck shell=bash disable=SC2016,SC2154
# Docker: the life of a container; sourced by run.sh once per runtime. The scripts are evaluated by `check`.
run() { docker run --runtime "$RUNTIME" --network none --name box "$@"; }
drop() { docker rm -f box >/dev/null 2>&1; }
# A field of what `docker inspect` says of the box.
field() { docker inspect -f "{{$1}}" "${2:-box}"; }
export -f run field
start_docker docker '"iptables": false, "bridge": "none"'

check 'run' '^hi 0 $' 'run --rm bb:1 echo hi; echo $?'
check 'exit status of the program' '^7 $' 'run --rm bb:1 sh -c "exit 7"; echo $?'
check 'exit status 125, 126, 127, 137' '125 .*126 .*127 .*137 $' \
    'run --rm --cpus 1000 bb:1 true; echo $?; drop; run --rm bb:1 /etc/passwd; echo $?; drop; run --rm bb:1 /nosuch; echo $?; drop; run --rm bb:1 sh -c "kill -9 \$\$"; run --rm --pid host bb:1 sh -c "kill -9 \$\$"; echo $?'
check 'messages for programs that are not there' 'exec: ./nosuch.: stat /nosuch: no such file or directory.*exec: .nosuch.: executable file not found in .PATH.*permission denied' \
    'run --rm bb:1 /nosuch; drop; run --rm bb:1 nosuch; drop; run --rm bb:1 /etc/passwd; drop'
check 'run -it' '/dev/pts/0 30 100' 'on_terminal "run --rm -it bb:1 sh -c \"sleep $BEAT; tty; stty size\""'
check 'run -i takes its input' '^piped $' 'echo piped | run --rm -i bb:1 cat'
check 'run -a stderr' '^wrong $' 'run --rm -a stderr bb:1 sh -c "echo right; echo wrong >&2"'
check 'attach' '^typed $' \
    'run -d -i bb:1 sh -c "read word; echo \$word; exit 4" >/dev/null; (sleep $BEAT; echo typed; sleep 2) | docker attach box'
check 'wait' '^4 $' 'docker wait box'
drop
check 'logs --follow' '^early late $' 'run -d bb:1 sh -c "echo early; sleep 2; echo late" >/dev/null; docker logs -f box'
drop
check 'attach to a terminal, detach' 'typed .*read escape sequence.*running' \
    'run -d -it bb:1 cat >/dev/null; { sleep $BEAT; echo typed; sleep $BEAT; printf "\020\021"; sleep $BEAT; } | on_terminal "docker attach box"; field .State.Status'
drop

check 'run -d, logs' '^one two $' 'run -d bb:1 sh -c "echo one; echo two; sleep 1000" >/dev/null; shows two docker logs box'
check 'exec' '^in $' 'docker exec box echo in'
check 'exec -i' '^piped $' 'echo piped | docker exec -i box cat'
check 'exec: exit status' '^5 $' 'docker exec box sh -c "exit 5"; echo $?'
check 'exec of what is not there, cannot be run' '126 .*126 .*126 $' \
    'for program in /nosuch nosuch /etc/passwd; do docker exec box $program; echo $?; done'
check 'exec -it' '/dev/pts/[0-9]+ 30 100' 'on_terminal "docker exec -it box sh -c \"sleep $BEAT; tty; stty size\""'
check 'exec -u -w -e' '^uid=1000.*1002\(crew\) /tmp b ' 'docker exec -u sailor -w /tmp -e A=b box sh -c "id; pwd; echo \$A"'
check 'exec -d' '^made $' 'docker exec -d box sh -c "echo made >/made"; shows made docker exec box cat /made'
check 'exec --privileged' 'CapEff:.0+[13]f+[ef]f+ ' 'docker exec --privileged box grep CapEff /proc/self/status'
check 'fifty execs at once' '^50 $' 'for i in {1..50}; do docker exec box echo in & done | sort | uniq -c | awk "{print \$1}"; wait'
check 'top' 'sleep 1000' 'docker top box'
check 'top with options of ps' 'sleep +.*1000|1000' 'docker top box -eo pid,args'
check 'stats' '[0-9.]+.iB .* [1-9]' 'docker stats --no-stream --format "{{.MemUsage}} {{.PIDs}}" box'
check 'pause, unpause' '^box paused box running $' 'docker pause box; field .State.Status; docker unpause box; field .State.Status'
check 'exec in a paused container' 'paused' 'docker pause box; docker exec box true 2>&1; docker unpause box'
check 'update -m --cpus --pids-limit' '^box 67108864 50000( 100000)? 30 $' \
    'docker update -m 64m --memory-swap 64m --cpus 0.5 --pids-limit 30 box; docker exec box sh -c "cd /sys/fs/cgroup; cat $MEMORY $QUOTA $PIDS"'
check 'update --cpuset-cpus --cpu-shares --restart' '^box 0 (512|20|59) always $' \
    'docker update --cpuset-cpus 0 --cpu-shares 512 --restart always box; docker exec box sh -c "cd /sys/fs/cgroup; cat $CPUS $SHARES"; field .HostConfig.RestartPolicy.Name'
check 'cp both ways' '^there back $' \
    'echo there >f; docker cp f box:/f; docker exec box cat /f; docker exec box sh -c "echo back >/f"; docker cp box:/f f; cat f'
check 'diff' 'A /f' 'docker diff box'
check 'rename, inspect' '^/ship true ship 1 $' \
    'docker rename box ship; field .Name ship; test -d /proc/$(field .State.Pid ship) && echo true; docker ps --format "{{.Names}}"; docker exec ship sh -c "ps | grep -c [s]leep"; docker rename ship box'
check 'inspect: the runtime and its pid' '^(berth|control) sleep 1000 $' 'field .HostConfig.Runtime; tr "\0" " " </proc/$(field .State.Pid)/cmdline'
check '--pid, --network of another container' '^ *1 .*sleep 1000.* same ' \
    'docker run --rm --runtime $RUNTIME --network container:box --pid container:box bb:1 sh -c "ps -o pid,args | grep sleep | head -1; [ \$(readlink /proc/1/ns/net) = \$(readlink /proc/self/ns/net) ] && echo same"'
check 'commit' '^made $' 'docker commit box saved >/dev/null; docker run --rm --runtime $RUNTIME --network none saved cat /made; docker rmi saved >/dev/null'
check 'kill -s, wait' '^box 137 $' 'docker update --restart no box >/dev/null; docker kill -s KILL box; docker wait box'
drop
check 'stop: SIGTERM' '^box 3 $' \
    'run -d bb:1 sh -c "trap \"exit 3\" TERM; echo ready; while :; do sleep 0.1; done" >/dev/null; shows ready docker logs box >/dev/null; docker stop box; docker wait box'
drop
check 'kill -s USR1' '^box ready heard $' \
    'run -d bb:1 sh -c "trap \"echo heard\" USR1; echo ready; while :; do sleep 0.1; done" >/dev/null; shows ready docker logs box >/dev/null; docker kill -s USR1 box; shows heard docker logs box'
drop
check '--stop-signal' '^box 9 $' \
    'run -d --stop-signal USR2 bb:1 sh -c "trap \"exit 9\" USR2; echo ready; while :; do sleep 0.1; done" >/dev/null; shows ready docker logs box >/dev/null; docker stop -t 20 box; docker wait box'
drop
check 'stop: SIGKILL after the grace period' '^box 137 true $' \
    'run -d bb:1 sleep 1000 >/dev/null; begin=$SECONDS; docker stop -t 2 box; docker wait box; ((SECONDS - begin >= 2)) && echo true'
check 'start again, restart' '^box box running $' 'docker start box; docker restart -t 0 box; field .State.Status'
drop
check 'create, start -a' '^later 6 $' 'docker create --runtime $RUNTIME --network none --name box bb:1 sh -c "echo later; exit 6" >/dev/null; docker start -a box; echo $?'
drop
# containerd's shim looks at the cgroup from when `start` has returned: what dies before is not told as OOM.
check '-m: OOM' '^137 true $' 'run -m 16m --memory-swap 16m bb:1 sh -c "sleep $BEAT; exec tail /dev/zero"; echo $?; shows true field .State.OOMKilled'
drop
check '-m: OOM of a child' '^137 running true $' \
    'run -d -m 16m --memory-swap 16m bb:1 sleep 1000 >/dev/null; docker exec box tail /dev/zero; echo $?; field .State.Status; shows true field .State.OOMKilled | sed "s/false/true/"'
drop
check '--restart always' '^[2-9]' 'run -d --restart always bb:1 sh -c "sleep 0.3; exit 1" >/dev/null; shows "[2-9]" field .RestartCount'
drop
check '--restart on-failure:2' '^2 exited 1 $' \
    'run -d --restart on-failure:2 bb:1 sh -c "exit 1" >/dev/null; shows 2 field .RestartCount; shows exited field .State.Status; field .State.ExitCode'
drop
check '--restart on-failure, without one' '^0 exited $' 'run -d --restart on-failure bb:1 true >/dev/null; shows exited field .State.Status >/dev/null; field ".RestartCount}} {{.State.Status"'
drop
check '--restart unless-stopped' '^box exited 0 $' \
    'run -d --restart unless-stopped bb:1 sleep 1000 >/dev/null; docker stop -t 0 box; sleep $BEAT; field ".State.Status}} {{.RestartCount"'
drop
check '--health-cmd' '^healthy $' \
    'run -d --health-cmd "echo well" --health-interval 1s bb:1 sleep 1000 >/dev/null; shows ^healthy field .State.Health.Status'
drop
check '--health-cmd that fails' '^unhealthy ill' \
    'run -d --health-cmd "echo ill; exit 1" --health-interval 0.5s --health-retries 2 bb:1 sleep 1000 >/dev/null; shows ^unhealthy field .State.Health.Status; field "(index .State.Health.Log 0).Output"'
drop
check '--init' '^1 (docker-init|tini|/sbin/docker-init)' 'run --rm --init bb:1 sh -c "echo 1 \$(cat /proc/1/comm)"'
check '--rm removes it' '^gone $' 'run --rm bb:1 true; docker inspect box >/dev/null 2>&1 || echo gone'
check 'events' 'create.*start.*exec_create.*kill.*die.*destroy' \
    'since=$(date +%s); run -d bb:1 sleep 1000 >/dev/null; docker exec box true; drop; docker events --since $since --until $(($(date +%s) + 1)) --format "{{.Action}}"'
check 'ten at once' '^10 0 $' \
    'for i in {1..10}; do docker run -d --runtime $RUNTIME --network none --name many$i bb:1 sleep 1000 >/dev/null & done; wait; docker ps -q | wc -l; docker rm -f $(docker ps -aq) >/dev/null; docker ps -q | wc -l'
end_docker
