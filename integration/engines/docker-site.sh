# shellcheck shell=bash disable=SC2016,SC2154
# Docker with the runtime as default-runtime, and with networks: build, Compose, Swarm; sourced once per runtime.
run() { docker run --rm "$@"; }
export -f run
# Swarm's tasks come and go by themselves: their number by state and image.
tasks() { docker service ps -f desired-state=running --format '{{.CurrentState}} {{.Image}}' "$1" | sed 's/ [0-9a-zA-Z ]* ago//' | sort | uniq -c | tr -s ' '; }
start_docker site "\"default-runtime\": \"$RUNTIME\""

check 'default-runtime' '^(berth|control) hi $' 'docker info -f "{{.DefaultRuntime}}"; run bb:1 echo hi'
check '--network bridge' '^eth0: answer ' \
    'docker run -d --name server bb:1 sh -c "echo answer >/f; exec httpd -f -p 80 -h /" >/dev/null
     run bb:1 sh -c "tail -n +3 /proc/net/dev | grep -o eth0:; wget -qO- http://$(docker inspect -f "{{.NetworkSettings.IPAddress}}" server)/f"'
check '--network container:' '^answer ' 'run --network container:server bb:1 wget -qO- http://127.0.0.1/f; docker rm -f server >/dev/null'
check '-p' '^answer ' \
    'docker run -d --name server -p 127.0.0.1:8080:80 bb:1 sh -c "echo answer >/f; exec httpd -f -p 80 -h /" >/dev/null; shows answer busybox wget -qO- http://127.0.0.1:8080/f; docker rm -f server >/dev/null'
check '--sysctl of the network, --mac-address' '^1 02:00:00:00:00:07 $' \
    'run --sysctl net.ipv4.ip_forward=1 --mac-address 02:00:00:00:00:07 bb:1 cat /proc/sys/net/ipv4/ip_forward /sys/class/net/eth0/address'
check 'network create, connect, disconnect' '^2 1 $' \
    'docker network create sea >/dev/null; docker run -d --name box bb:1 sleep 1000 >/dev/null; docker network connect sea box; docker exec box grep -c eth /proc/net/dev; docker network disconnect sea box; docker exec box grep -c eth /proc/net/dev; docker rm -f box >/dev/null; docker network rm sea >/dev/null'

mkdir -p context && echo copied >context/file
cat >context/Dockerfile <<'DOCKERFILE'
FROM bb:1 AS first
RUN echo built >/built && id >>/built
RUN ["/bin/sh", "-c", "readlink /proc/self/ns/pid >/ns"]
COPY file /file
USER sailor
WORKDIR /home/sailor
RUN whoami >/tmp/who
FROM bb:1
COPY --from=first /built /file /tmp/who /
RUN cat /file /who >>/built
CMD ["cat", "/built"]
DOCKERFILE
check 'build: RUN, USER, WORKDIR, stages' 'built uid=0.*copied sailor $' 'docker build -q -t built context >/dev/null; run built'
check 'build: RUN that fails' 'returned a non-zero code: 3' 'printf "FROM bb:1\nRUN exit 3\n" | docker build --force-rm -'
check 'build --memory --ulimit' '33554432 100' 'printf "FROM bb:1\nRUN cat /sys/fs/cgroup/%s; ulimit -n\n" $MEMORY | docker build --no-cache --memory 32m --ulimit nofile=100 -'

mkdir -p fleet
cat >fleet/compose.yaml <<'YAML'
services:
  store:
    image: bb:1
    command: sh -c "echo cargo >/data/cargo; exec httpd -f -p 80 -h /data"
    volumes: [hold:/data]
    networks: [sea]
    healthcheck: {test: ["CMD", "wget", "-qO-", "http://127.0.0.1/cargo"], interval: 1s}
    deploy: {resources: {limits: {memory: 64M}}}
  crane:
    image: bb:1
    command: sh -c "wget -qO- http://$$(nslookup store | tail -n +3 | grep -oE '(172|192)[0-9.]*' | head -1)/cargo >/tmp/moved; exec sleep 1000"
    depends_on: {store: {condition: service_healthy}}
    networks: [sea]
    healthcheck: {test: ["CMD-SHELL", "grep cargo /tmp/moved"], interval: 1s, retries: 20}
    init: true
  guard:
    image: bb:1
    command: tail -f /data/cargo
    volumes: ["hold:/data:ro"]
    depends_on: {crane: {condition: service_healthy}}
    networks: [sea]
    healthcheck: {test: "test -s /data/cargo", interval: 1s}
    cap_drop: [ALL]
    read_only: true
volumes: {hold: {}}
networks: {sea: {}}
YAML
check 'Compose: up, three services are healthy' '^healthy healthy healthy ' \
    'compose up -d 2>/dev/null; for name in store crane guard; do shows ^healthy docker inspect -f "{{.State.Health.Status}}" $(compose ps -q $name); done; compose logs --no-color crane'
check 'Compose: the volume, the network' '^cargo cargo .*ermission denied|^cargo cargo .*Read-only' \
    'compose exec -T crane cat /tmp/moved; compose logs --no-color guard | grep -o cargo; compose exec -T guard sh -c "echo >/data/x"'
check 'Compose: exec, ps, top, stop, start' 'in 3 .*httpd.*3 $' \
    'compose exec -T store echo in; compose ps | grep -c Up; compose top store; compose stop -t 0 2>/dev/null; compose start 2>/dev/null; sleep $BEAT; compose ps | grep -c Up'
check 'Compose: run, --scale' '^once 2 $' \
    'compose run --rm --no-deps guard echo once 2>/dev/null; compose up -d -t 0 --scale guard=2 2>/dev/null; docker ps -q -f name=guard | wc -l'
check 'Compose: down' '^0 0 0 $' \
    'compose down -v -t 0 2>/dev/null; docker ps -aq | wc -l; docker volume ls -q | grep -c hold; docker network ls | grep -c sea'

check 'Swarm: init, a replicated service' '3 Running bb:1' \
    'docker swarm init --advertise-addr 127.0.0.1 >/dev/null; docker service create -d --no-resolve-image --name s --replicas 3 --network host --limit-memory 32m --restart-delay 1s --stop-grace-period 1s bb:1 sleep 1000 >/dev/null; shows "3 Running" tasks s'
check 'Swarm: limits of a task' '^33554432 $' \
    'docker exec $(docker ps -q -f name=s.1) cat /sys/fs/cgroup/$MEMORY'
check 'Swarm: rolling update' '3 Running bb:2' \
    'docker tag bb:1 bb:2; docker service update -d --no-resolve-image --image bb:2 --update-parallelism 1 --update-delay 1s s >/dev/null; shows "3 Running bb:2" tasks s; shows completed docker service inspect -f "{{.UpdateStatus.State}}" s'
check 'Swarm: rollback, scale' '5 Running bb:1' \
    'docker service rollback -d s >/dev/null; shows "3 Running bb:1" tasks s >/dev/null; shows completed docker service inspect -f "{{.UpdateStatus.State}}" s >/dev/null; docker service scale -d s=5 >/dev/null; shows "5 Running" tasks s'
check 'Swarm: a task that was killed is replaced' '5 Running bb:1 [1-9]' \
    'docker kill $(docker ps -q -f name=s.2) >/dev/null; shows "Failed|Shutdown" docker service ps s >/dev/null; shows "5 Running" tasks s; docker service ps s | grep -cE "Failed|Shutdown"'
check 'Swarm: a secret, a config' '^hush chart $' \
    'echo hush | docker secret create word - >/dev/null; echo chart | docker config create map - >/dev/null
     docker service create -d --no-resolve-image --name t --network host --secret word --config source=map,target=/map bb:1 sleep 1000 >/dev/null; shows "1 Running" tasks t >/dev/null; docker exec $(docker ps -q -f name=t.1) cat /run/secrets/word /map'
check 'Swarm: leave' '^0 $' 'docker service rm s t >/dev/null; docker swarm leave --force >/dev/null; shows ^0 sh -c "docker -H unix://$WORK/site.sock ps -q | wc -l"'
end_docker
