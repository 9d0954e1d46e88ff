#!/bin/bash
# load-guest.sh COUNT WORKERS RUNTIMES - the part of load.sh that runs in the test machine.
set -euo pipefail
count=$1 workers=$2 runtimes=$3
cd "$(mktemp -d)"

mkdir -p rootfs/bin
cp /usr/bin/busybox rootfs/bin/sleep
runc spec
config=$(jq --arg rootfs "$PWD/rootfs" '.process.terminal = false | .process.args = ["sleep", "1000"]
    | .root.path = $rootfs | .linux.cgroupsPath = "load.slice:NAME" | .linux.resources.memory.limit = 67108864
    | .linux.resources.pids.limit = 20 | .linux.resources.cpu.shares = 512' config.json)
# A slice that is there before and stays, so that all runtimes have the same to do.
systemctl start load.slice

now() { date +%s%N; }

# probe FILE: ask systemd something over the bus, again and again; the milliseconds of each answer go to FILE.
probe() {
    local begin
    while [ ! -e stop ]; do
        begin=$(now)
        busctl --timeout=10 get-property org.freedesktop.systemd1 /org/freedesktop/systemd1 \
            org.freedesktop.systemd1.Manager NNames >/dev/null || echo "no answer" >>failed
        echo $((($(now) - begin) / 1000000)) >>"$1"
        sleep 0.1
    done
}
summary() {
    sort -n "$1" | awk '{ all[NR] = $1 } END {
        printf "%d calls of busctl: median %d ms, 99 %% %d ms, longest %d ms\n",
            NR, all[int((NR + 1) / 2)], all[int(NR * 0.99 + 0.99)], all[NR] }'
}

# work RUNTIME WORKER: create and delete this worker's share.
work() {
    local number id bundle=bundle-$2
    mkdir -p "$bundle"
    for ((number = $2; number < count; number += workers)); do
        id=$1-$number
        echo "${config/NAME/$1:$number}" >"$bundle/config.json"
        "$1" --systemd-cgroup create --bundle "$bundle" "$id" </dev/null >/dev/null 2>>errors || echo "create $id" >>failed
        "$1" delete --force "$id" 2>>errors || echo "delete $id" >>failed
    done
}

(sleep 10 && touch stop) &
probe idle
wait
rm stop
echo "idle: $(summary idle)"
for runtime in $runtimes; do
    probe "$runtime.times" &
    prober=$!
    begin=$(now)
    pids=()
    for ((worker = 0; worker < workers; worker++)); do
        work "$runtime" $worker &
        pids+=($!)
    done
    wait "${pids[@]}"
    took=$((($(now) - begin) / 1000000))
    touch stop
    wait "$prober"
    rm stop
    echo "$runtime: $count containers in $((took / 1000)) s, $((took / count)) ms each; $(summary "$runtime.times")"
    left=$(systemctl list-units --all --plain --no-legend "$runtime-*.scope"
        find /sys/fs/cgroup/load.slice -mindepth 1 -type d)
    [ -z "$left" ] || { echo "left behind: $left" >>failed; }
done
[ ! -e failed ] || { head -n 20 failed errors; exit 1; }
