#!/bin/bash
# load.sh - containers come and go by the systemd driver in the test machine; how fast, and how soon the bus answers
# meanwhile. For `make vm-load`.
#
#   BERTH      the binary to test
#   COUNT      how many containers (500)
#   WORKERS    how many at once (2)
#   RUNTIMES   which runtimes, one after the other: berth, runc, crun (berth)
#
# Fails when a container does, when a call of busctl is not answered within 10 s, and when a unit or cgroup stays.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-vm-load.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cp "${BERTH:?}" "$work/bin/berth"
cp "$here/load-guest.sh" "$work/"
"$here/run.sh" -t 1500 -d "$work" -- bash load-guest.sh "${COUNT:-500}" "${WORKERS:-2}" "${RUNTIMES:-berth}"
