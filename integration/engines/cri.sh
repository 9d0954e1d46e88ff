# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# Scenarios of containerd's CRI plugin, called as a kubelet calls it; sourced by run.sh once per runtime. The containerd
# of the other scenarios has no CRI: this is another one, in which the runtimes are the runtime classes. CONTAINERD names
# the directory of another version.
CRI=$WORK/cri
ALONE='namespace_options {pid: CONTAINER}'
SYSTEMD=false CGROUP_PARENT=/pods
[[ $DRIVER != systemd ]] || { SYSTEMD=true CGROUP_PARENT=pods.slice; }

ctr_cri() { command ctr -a "$CRI/sock" -n k8s.io "$@"; }

# cri METHOD REQUEST: one call, both in protobuf's text format. A message on the wire has a header of five bytes.
cri() {
    local call length
    call=$(mktemp "$CRI/call.XXXXXX")
    protoc -I"$HERE" --encode="runtime.v1.$1Request" cri.proto <<<"$2" >"$call" || return
    length=$(printf '%08x' "$(stat -c %s "$call")")
    { printf '%b' "\\0000\\x${length:0:2}\\x${length:2:2}\\x${length:4:2}\\x${length:6:2}"; cat "$call"; } |
        curl -sS --http2-prior-knowledge --unix-socket "$CRI/sock" -H 'content-type: application/grpc' -H 'te: trailers' \
            -D "$call.headers" -o "$call.answer" --data-binary @- "http://cri/runtime.v1.RuntimeService/$1"
    if grep -qi '^grpc-status: 0' "$call.headers"; then
        tail -c +6 "$call.answer" | protoc -I"$HERE" --decode="runtime.v1.$1Response" cri.proto
    else
        grep -i '^grpc-message' "$call.headers" || echo "no answer to $1"
        return 1
    fi
}

# quoted TEXT: as a string of protobuf's text format.
quoted() {
    local text=${1//\\/\\\\}
    text=${text//$'\n'/\\n}
    printf '"%s"' "${text//\"/\\\"}"
}

# pod NAME [LINUX]: a pod, with more for its member `linux`. Only a pod with a network of its own has a host name.
pod() {
    local name=$1
    [[ ${2:-} != *'network: NODE'* ]] || name=''
    mkdir -p "$CRI/pods/$1"
    echo "metadata {name: '$1' uid: '$1' namespace: 'default'} hostname: '$name' log_directory: '$CRI/pods/$1'
        linux {cgroup_parent: '$CGROUP_PARENT' ${2:-}}" >"$CRI/pods/$1/config"
    cri RunPodSandbox "config {$(<"$CRI/pods/$1/config")} runtime_handler: '$RUNTIME'" >"$CRI/answer" ||
        { cat "$CRI/answer"; return 1; }
    sed -n 's/^pod_sandbox_id: "\(.*\)"/\1/p' "$CRI/answer" >"$CRI/pods/$1/id"
}
# What protobuf does not print is 0, which is SANDBOX_READY and CONTAINER_CREATED.
state_of_pod() { cri PodSandboxStatus "pod_sandbox_id: '$(id_of "$1")'" | grep -oE '(NOTREADY|ip: .*)'; }

# box POD NAME SCRIPT [LINUX] [CONFIG]: a started container in the pod.
box() {
    created "$@" && cri StartContainer "container_id: '$(id_of "$1" "$2")'"
}
created() {
    cri CreateContainer "pod_sandbox_id: '$(id_of "$1")' sandbox_config {$(<"$CRI/pods/$1/config")}
        config {metadata {name: '$2'} image {image: 'localhost/bb:1'} command: 'sh' command: '-c' command: $(quoted "$3")
            log_path: '$2.log' linux {${4:-security_context {$ALONE\}}} ${5:-}}" >"$CRI/answer" || { cat "$CRI/answer"; return 1; }
    sed -n 's/^container_id: "\(.*\)"/\1/p' "$CRI/answer" >"$CRI/pods/$1/$2.id"
}
# id_of POD [NAME]
id_of() { cat "$CRI/pods/$1/${2:+$2.}id"; }

# in_box POD NAME SCRIPT [TIMEOUT]: ExecSync.
in_box() {
    cri ExecSync "container_id: '$(id_of "$1" "$2")' cmd: 'sh' cmd: '-c' cmd: $(quoted "$3") timeout: ${4:-0}"
}
status() { cri ContainerStatus "container_id: '$(id_of "$1" "$2")'"; }
until_exited() { until_true "status $1 $2 | grep -q EXITED"; }
# output POD NAME: what the container wrote, at its end.
output() { until_exited "$1" "$2"; cut -d ' ' -f 4- "$CRI/pods/$1/$2.log"; }
remove() { cri RemoveContainer "container_id: '$(id_of "$1" "$2")'"; }
# once POD SCRIPT [LINUX] [CONFIG]: the output of a container that runs once.
once() { box "$1" once "$2" "${3:-}" "${4:-}" && output "$1" once; remove "$1" once; rm -f "$CRI/pods/$1/once.log"; }
remove_pod() { cri StopPodSandbox "pod_sandbox_id: '$1'"; cri RemovePodSandbox "pod_sandbox_id: '$1'"; }
remove_pods() {
    local id
    for id in $(cri ListPodSandbox '' | sed -n 's/^  id: "\(.*\)"/\1/p'); do remove_pod "$id"; done
}

start_cri() {
    PATH=${CONTAINERD:+$CONTAINERD:}$PATH setsid containerd -c "$CRI/config.toml" >>"$CRI/log" 2>&1 &
    echo $! >"$CRI/pid"
    until_true 'cri ListContainers ""'
}
stop_cri() {
    kill "$(<"$CRI/pid")"
    until_true '! kill -0 "$(<"$CRI/pid")"'
}

# The images, as `docker save` writes them.
archive_images() {
    mkdir -p "$CRI/images"
    cp "$WORK/image.tar" "$CRI/images/layer.tar"
    printf '{"architecture": "%s", "os": "linux", "config": {"Entrypoint": ["/bin/sleep", "100000"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}}' \
        "$(dpkg --print-architecture)" "$(sha256sum <"$WORK/image.tar" | cut -c1-64)" >"$CRI/images/config.json"
    echo '[{"Config": "config.json", "RepoTags": ["localhost/bb:1", "localhost/pause:1"], "Layers": ["layer.tar"]}]' \
        >"$CRI/images/manifest.json"
    tar -C "$CRI/images" -c .
}

if [[ ! -e $CRI ]]; then
    mkdir -p "$CRI"/{net,pods}
    cat >"$CRI/net/10-bridge.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cri0",
 "ipam": {"type": "host-local", "dataDir": "$CRI/addresses", "ranges": [[{"subnet": "10.211.211.0/24"}]]}}]}
JSON
    cat >"$CRI/config.toml" <<TOML
version = 2
root = "$CRI/root"
state = "$CRI/state"
[grpc]
  address = "$CRI/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "control"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$CRI/net"
TOML
    for class in berth control; do
        cat >>"$CRI/config.toml" <<TOML
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$class]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$class.options]
  BinaryName = "$WORK/bin/$class"
  SystemdCgroup = $SYSTEMD
TOML
    done
fi
start_cri
ctr_cri image ls -q | grep -q localhost/bb:1 || archive_images | ctr_cri image import - >/dev/null

check 'a pod' '^ip: "10.211.211.[0-9]+" $' 'pod one; state_of_pod one'
check 'a container, its log' '^CONTAINER_RUNNING out err ' \
    'box one box "echo out; sleep 0.1; echo err >&2; sleep 1000"; status one box | sed -n "s/.*state: //p"; sleep $BEAT; cut -d " " -f 4- $CRI/pods/one/box.log'
check 'created, not started' '^0 $' 'created one idle true; status one idle | grep -c state:; remove one idle'
check 'ExecSync' 'stdout: "out.n" stderr: "err.n" exit_code: 5 $' 'in_box one box "echo out; echo err >&2; exit 5"'
check 'ExecSync of a program that is not there' 'grpc-message: .*no such file or directory' \
    'cri ExecSync "container_id: \"$(id_of one box)\" cmd: \"/nosuch\""'
check 'ExecSync of a program that may not be executed' 'grpc-message: .*permission denied' \
    'cri ExecSync "container_id: \"$(id_of one box)\" cmd: \"/etc/passwd\""'
check 'a probe with a timeout' 'grpc-message: .*timeout 1s exceeded.* stdout: "0.n"' \
    'in_box one box "sleep 888" 1; in_box one box "ps | grep -c [8]88; true"'
check 'ContainerStats' '^ticks bytes $' \
    'cri ContainerStats "container_id: \"$(id_of one box)\"" | grep -A4 -E "nano_seconds|working_set" | tr -d "\n" | sed -E "s/.*nano_seconds . *value: [1-9][0-9]+.*working_set_bytes . *value: [1-9].*/ticks bytes\n/"'
check 'UpdateContainerResources' 'stdout: "67108864.n50000( 100000)?.n"' \
    'cri UpdateContainerResources "container_id: \"$(id_of one box)\" linux {memory_limit_in_bytes: 67108864 cpu_quota: 50000 cpu_period: 100000}"; in_box one box "cat /sys/fs/cgroup/$MEMORY /sys/fs/cgroup/$QUOTA"'
check 'another container of the pod: network, IPC, host name shared' '^same same one ' \
    'for kind in net ipc; do once one "readlink /proc/self/ns/$kind" >$CRI/ns; in_box one box "readlink /proc/self/ns/$kind" | grep -qF "$(<$CRI/ns)" && echo same; done; once one hostname'
check 'pid namespace: its own' '^1 $' 'once one "echo \$\$"'
check 'pid namespace: the pod'"'"'s' 'sleep 100000.*echo' 'once one "ps -o args; echo" "security_context {namespace_options {pid: POD}}"'
check 'pid namespace: another container'"'"'s' 'sleep 1000 ' \
    'once one "ps -o args" "security_context {namespace_options {pid: TARGET target_id: \"$(id_of one box)\"}}"'
check 'the daemon restarts, the container goes on' '^CONTAINER_RUNNING stdout: "in.n"' \
    'stop_cri; start_cri; status one box | sed -n "s/.*state: //p"; in_box one box "echo in"'
check 'StopContainer: SIGKILL after the grace period' 'CONTAINER_EXITED exit_code: 137 ' \
    'cri StopContainer "container_id: \"$(id_of one box)\" timeout: 1"; status one box | grep -oE "CONTAINER_EXITED|exit_code: .*"'
check 'RemoveContainer' '^0 $' 'remove one box; cri ListContainers "" | grep -c "$(id_of one box)"'
check 'StopContainer: SIGTERM' 'exit_code: 3 ' \
    'box one term "trap \"exit 3\" TERM; while :; do sleep 0.1; done"; sleep $BEAT; cri StopContainer "container_id: \"$(id_of one term)\" timeout: 30"; status one term | grep -o "exit_code: .*"; remove one term'
check 'OOMKilled' '^exit_code: 137 reason: "OOMKilled" $' \
    'box one oom "sleep $BEAT; exec tail /dev/zero" "resources {memory_limit_in_bytes: 16777216 memory_swap_limit_in_bytes: 16777216}"; until_exited one oom; status one oom | grep -oE "(exit_code|reason): .*"; remove one oom'
check 'limits' '^33554432 256 ' \
    'once one "cat /sys/fs/cgroup/$MEMORY; cat /proc/self/oom_score_adj" "resources {memory_limit_in_bytes: 33554432 cpu_shares: 512 oom_score_adj: 256}"'
check 'a program that is not there' 'grpc-message: .*no such file or directory' \
    'cri CreateContainer "pod_sandbox_id: \"$(id_of one)\" sandbox_config {$(<$CRI/pods/one/config)} config {metadata {name: \"none\"} image {image: \"localhost/bb:1\"} command: \"/nosuch\"}" | sed -n "s/^container_id: \"\(.*\)\"/\1/p" >$CRI/pods/one/none.id; cri StartContainer "container_id: \"$(id_of one none)\""; remove one none'
check 'run_as_user, run_as_group, supplemental groups' '^uid=1000.*gid=1001.*,2000' \
    'once one id "security_context {run_as_user {value: 1000} run_as_group {value: 1001} supplemental_groups: 2000}"'
check 'a read-only root' 'Read-only' 'once one "exec 2>&1; touch /new" "security_context {readonly_rootfs: true}"'
check 'capabilities dropped and added' 'CapEff:.0000000000002000 ' \
    'once one "grep CapEff /proc/self/status" "security_context {capabilities {drop_capabilities: \"ALL\" add_capabilities: \"NET_RAW\"}}"'
check 'no_new_privs' 'NoNewPrivs:.1 ' 'once one "grep NoNewPrivs /proc/self/status" "security_context {no_new_privs: true}"'
check 'seccomp RuntimeDefault, Unconfined' 'Seccomp:.2 Seccomp:.0 ' \
    'for kind in RuntimeDefault Unconfined; do once one "grep Seccomp: /proc/self/status" "security_context {seccomp {profile_type: $kind}}"; done'
echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}' >"$CRI/profile.json"
check 'seccomp Localhost' 'not permitted' \
    'once one "mkdir /new 2>&1" "security_context {seccomp {profile_type: Localhost localhost_ref: \"$CRI/profile.json\"}}"'
check 'masked and read-only paths' '^0 Read-only' \
    'once one "wc -c </etc/passwd; sh -c \"echo 1 >/proc/sys/vm/swappiness\" 2>&1 | grep -o Read-only" "security_context {masked_paths: \"/etc/passwd\" readonly_paths: \"/proc/sys\"}"'
echo shared >"$CRI/file"
check 'a mount, read-only' '^shared .*Read-only' \
    'once one "exec 2>&1; cat /v/file; touch /v/new" "" "mounts {container_path: \"/v\" host_path: \"$CRI\" readonly: true}"'
check 'devices' '^crw.* 10, *200' 'once one "ls -l /dev/mine" "" "devices {container_path: \"/dev/mine\" host_path: \"/dev/net/tun\" permissions: \"rwm\"}"'
check 'environment, working directory' '^v /tmp ' 'once one "echo \$K; pwd" "" "working_dir: \"/tmp\" envs {key: \"K\" value: \"v\"}"'
check 'StopPodSandbox, RemovePodSandbox end the containers' '^NOTREADY 0 0 $' \
    'box one last "sleep 1000"; cri StopPodSandbox "pod_sandbox_id: \"$(id_of one)\"" >/dev/null; state_of_pod one; cri RemovePodSandbox "pod_sandbox_id: \"$(id_of one)\"" >/dev/null; for kind in PodSandbox Containers; do cri List$kind "" | grep -c " id:"; done'

mkdir -p "$CRI/propagated" && mount -t tmpfs --make-shared tmpfs "$CRI/propagated"
check 'a privileged container, a mount propagated to the host' '^Seccomp:.0 mounted ' \
    'pod strong "security_context {privileged: true}"
     once strong "mkdir /v/new; mount -t tmpfs x /v/new; grep Seccomp: /proc/self/status" "security_context {privileged: true $ALONE}" "mounts {container_path: \"/v\" host_path: \"$CRI/propagated\" propagation: PROPAGATION_BIDIRECTIONAL}"
     mountpoint -q $CRI/propagated/new && echo mounted; umount $CRI/propagated/new'
umount "$CRI/propagated"
check 'a pod with the host'"'"'s network and processes' '^same $' \
    'pod host "security_context {namespace_options {network: NODE pid: NODE}}"; once host "readlink /proc/self/ns/net; readlink /proc/self/ns/pid" "security_context {namespace_options {network: NODE pid: NODE}}" >$CRI/ns; readlink /proc/self/ns/net /proc/self/ns/pid | cmp - $CRI/ns && echo same'
check 'sysctls of a pod' '^1234 ' \
    'pod tuned "sysctls {key: \"kernel.shmmni\" value: \"1234\"}"; once tuned "cat /proc/sys/kernel/shmmni"'
if [[ $("${CONTAINERD:+$CONTAINERD/}containerd" --version) =~ \ v?1\.[0-6]\. ]]; then
    impossible 'a pod with a user namespace' 'containerd can make one from 1.7 on'
else
    MAPS='userns_options {mode: POD uids {host_id: 100000 length: 65536} gids {host_id: 100000 length: 65536}}'
    check 'a pod with a user namespace' '^0 100000 65536 ' \
        'pod mapped "security_context {namespace_options {$MAPS}}"; once mapped "tr -s \" \" </proc/self/uid_map" "security_context {namespace_options {pid: CONTAINER $MAPS}}" | sed "s/^ //"'
fi
if [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]]; then
    check 'AppArmor RuntimeDefault, Unconfined' '^cri-containerd.apparmor.d \(enforce\) unconfined ' \
        'pod guarded; for kind in RuntimeDefault Unconfined; do once guarded "cat /proc/self/attr/current" "security_context {apparmor {profile_type: $kind}}"; done'
else
    impossible 'AppArmor' 'this host has none'
fi
remove_pods
stop_cri
