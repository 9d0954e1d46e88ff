# shellcheck shell=bash disable=SC2016,SC2154
# Podman and buildah as root: pods, kube play, builds; sourced by run.sh once per runtime.
run() { podman run --rm "$@"; }
export -f run
start_podman

check 'pod create, run --pod' '^p member gone $' \
    'podman pod create --name p --network none --hostname p >/dev/null; run --pod p bb:1 sh -c "hostname; echo member"; podman pod rm -f -t 0 p >/dev/null; podman pod exists p || echo gone'
check 'a pod shares ipc, net and uts, not pid' '^shared shared shared own ' \
    'podman pod create --name p --network none >/dev/null; for name in a b; do podman run -d --pod p --name $name bb:1 sleep 1000 >/dev/null; done
     for name in ipc net uts pid; do [[ $(podman exec a readlink /proc/self/ns/$name) == "$(podman exec b readlink /proc/self/ns/$name)" ]] && echo shared || echo own; done'
check 'pod pause, unpause, stats, top' 'Paused Running .*[1-9].*sleep' \
    'podman pod pause p >/dev/null; podman pod inspect -f "{{.State}}" p; podman pod unpause p >/dev/null; podman pod inspect -f "{{.State}}" p; podman pod stats --no-stream --format "{{.Name}} {{.PIDS}}" p; podman pod top p'
check 'pod stop, start, kill, rm' 'Exited Running .*gone ' \
    'podman pod stop -t 0 p >/dev/null; podman pod inspect -f "{{.State}}" p; podman pod start p >/dev/null; podman pod inspect -f "{{.State}}" p; podman pod kill p >/dev/null; podman pod rm -f -t 0 p >/dev/null; podman pod exists p || echo gone'
check 'pod create --share pid, limits' '^sleep 100000 50000 ' \
    'podman pod create --name p --network none --share pid,ipc,net,uts --cpus 0.5 >/dev/null; run --pod p bb:1 sh -c "tr \"\\0\" \" \" </proc/1/cmdline"; find /sys/fs/cgroup -path "*libpod*/${QUOTA##*/}" -exec cat {} + | grep -o "^50000"; podman pod rm -f -t 0 p >/dev/null'
check 'pod with an init container' 'first second' \
    'podman pod create --name p --network none >/dev/null; podman create --pod p --init-ctr once -v vol:/v bb:1 sh -c "echo first >/v/f" >/dev/null; podman create --pod p --name a -v vol:/v bb:1 sh -c "cat /v/f; echo second" >/dev/null; podman pod start p >/dev/null; shows second podman logs a; podman pod rm -f -t 0 p >/dev/null; podman volume rm vol >/dev/null'

mkdir -p context && echo copied >context/file
cat >context/Dockerfile <<'DOCKERFILE'
FROM bb:1
RUN echo built >/built && id >>/built
COPY file /file
USER sailor
RUN whoami >/tmp/who
USER root
RUN cat /file /tmp/who >>/built
CMD ["cat", "/built"]
DOCKERFILE
check 'build --isolation oci' 'built uid=0.*copied sailor $' 'podman build -q --network none --isolation oci -t built context >/dev/null; run --network none built'
check 'build: RUN that fails' 'exit status 3|status: 3' 'printf "FROM bb:1\nRUN exit 3\n" | podman build --network none --isolation oci -f - context'
check 'build --memory, --cap-drop, --volume' '33554432 .*shared' \
    'printf "FROM bb:1\nRUN cat /sys/fs/cgroup/%s /v/file\n" $MEMORY | podman build --no-cache --network none --isolation oci --memory 32m --cap-drop NET_RAW -v $WORK/shared:/v:ro -f - context'
check 'buildah from, run, -t, commit' 'in 3 .*/dev/pts.*made ' \
    'name=$(buildah from bb:1); buildah run --network none $name sh -c "echo in; echo made >/made; exit 3" 2>/dev/null; echo $?; on_terminal "buildah run -t $name tty"; buildah commit -q $name saved >/dev/null; run --network none saved cat /made; buildah rm $name >/dev/null; podman rmi -f saved >/dev/null'
check 'buildah run --user, --cap-add, --env' 'uid=1000.*v ' \
    'name=$(buildah from bb:1); buildah run --user sailor --env K=v --cap-add CAP_NET_RAW $name sh -c "id; echo \$K"; buildah rm $name >/dev/null'

cat >pod.yaml <<YAML
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
    volumeMounts: [{name: hold, mountPath: /hold}]
  - name: other
    image: localhost/bb:1
    command: [/bin/sleep, "1000"]
    securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: hold, mountPath: /hold, readOnly: true}]
  volumes: [{name: hold, hostPath: {path: $WORK/shared, type: Directory}}]
YAML
check 'kube play' 'played .*67108864 uid=1000.* shared ' \
    'podman play kube pod.yaml >/dev/null; shows played podman logs cube-box; podman exec cube-box /bin/cat /sys/fs/cgroup/$MEMORY; podman exec cube-other /bin/sh -c "/bin/id; /bin/cat /hold/file"'
check 'generate kube, kube down' 'kind: Pod .*gone $' 'podman generate kube cube | grep kind; podman play kube --down pod.yaml >/dev/null; podman pod exists cube || echo gone'
end_podman
