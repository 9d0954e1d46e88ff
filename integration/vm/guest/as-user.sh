#!/bin/bash
# as-user COMMAND… - in the test machine: run it as `tester`, with a user manager (bus, XDG_RUNTIME_DIR): rootless.
set -euo pipefail
systemctl start user@1000.service
cd /home/tester
exec setpriv --reuid 1000 --regid 1000 --init-groups --reset-env \
    env PATH=/job/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
