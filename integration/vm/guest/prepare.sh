#!/bin/bash
# prepare.sh - run once in the test machine when its image is made: a busybox image in each engine's store.
set -euo pipefail
mkdir -p /var/lib/berth-test/rootfs/{bin,etc,proc,sys,dev,tmp,root,var,run}
cd /var/lib/berth-test
cp /usr/bin/busybox rootfs/bin/
for applet in $(busybox --list); do [ -e "rootfs/bin/$applet" ] || ln -s busybox "rootfs/bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh' >rootfs/etc/passwd
echo 'root:x:0:' >rootfs/etc/group
tar -C rootfs -cf busybox.tar .

systemctl start containerd docker
docker import -c 'CMD ["/bin/sh"]' busybox.tar busybox:latest >/dev/null
docker save busybox:latest -o docker.tar
ctr image import docker.tar >/dev/null
rm docker.tar
podman import -q -c 'CMD=["/bin/sh"]' busybox.tar localhost/busybox:latest >/dev/null
as-user podman import -q -c 'CMD=["/bin/sh"]' /var/lib/berth-test/busybox.tar localhost/busybox:latest >/dev/null

# A container in each: what the engines set up at their first container is in the image too, and known to work.
docker run --rm busybox true
ctr run --rm docker.io/library/busybox:latest prepare true
podman run --rm localhost/busybox true
as-user podman run --rm --network none localhost/busybox true
systemctl stop docker.socket docker containerd user@1000.service
