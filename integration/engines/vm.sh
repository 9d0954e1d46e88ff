#!/bin/bash
# vm.sh - scenarios of the engines in the test machine, for `make engines-vm`: cgroup v2 alone, systemd, AppArmor, newer
# engines than Debian 12 has, and Podman without root.
#
#   BERTH=path [ENGINES="docker rootless"] [ONLY=part of a name] [RUNTIMES=berth] integration/engines/vm.sh
#
# Each file in vm/ and cri.sh has a machine of its own, and runs in it with berth and then with runc as control.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/../vm/build.sh" quiet

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-engines-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/job/bin"
cp "${BERTH:?the binary under test}" "$work/job/bin/berth"
cp -r "$here" "$work/job/engines"

status=0
for engine in ${ENGINES:-docker containerd cri podman rootless}; do
    "$here/../vm/run.sh" -t 1500 -d "$work/job" -- env ONLY="${ONLY:-}" RUNTIMES="${RUNTIMES:-berth control}" \
        bash /job/engines/vm/inside.sh "$engine" || status=1
done
exit $status
