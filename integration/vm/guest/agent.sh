#!/bin/bash
# agent.sh - in the test machine: runs the one job that the host hands in, then turns the machine off.
#
# Over the port `control` the host sends a line
#     run EPOCH COMMAND      run the command (base64), its output goes to the port `out`
#     shell EPOCH ROWS COLS  a shell on the serial line
# and gets back `ready`, `start` and `rc STATUS`. The job's files are on the second disk, mounted on /job.
ports=/dev/virtio-ports
until [ -e $ports/control ] && [ -e $ports/out ]; do sleep 0.05; done
exec 3<>$ports/control

export HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 TERM=dumb
export PATH=/job/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

echo ready >&3
read -r verb epoch argument rest <&3
date -s "@$epoch" >/dev/null
mkdir -p /job
mount -t ext4 -o noatime /dev/vdb /job
mkdir -p /job/bin /job/out
cd /job || exit
echo start >&3

# The job gets a delegated scope of its own, as a session manager would give it: a place in the tree it may divide.
scope=(systemd-run --quiet --scope --unit=job -p Delegate=yes)
case $verb in
run)
    base64 -d <<<"$argument" >/run/job.sh
    # Behind a pipe: a virtio port cannot be opened twice, so /dev/stderr would not work on it.
    { "${scope[@]}" bash /run/job.sh </dev/null 2>&1 3>&-; echo $? >/run/job.status; } | cat >$ports/out
    ;;
shell)
    export TERM=vt220
    stty -F /dev/ttyS0 sane rows "$argument" cols "$rest"
    setsid -c "${scope[@]}" bash -l </dev/ttyS0 >/dev/ttyS0 2>&1 3>&-
    echo $? >/run/job.status
    ;;
esac

# Everything on the disks before the host is told: it ends QEMU when it reads the status.
cd /
sync
umount /job 2>/dev/null
echo u >/proc/sysrq-trigger
echo "rc $(cat /run/job.status)" >&3
sleep 0.2
echo o >/proc/sysrq-trigger
sleep 10
