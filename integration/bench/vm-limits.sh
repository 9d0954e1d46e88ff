#!/bin/bash
# vm-limits.sh - the smallest memory.max and pids.max with which a container starts, for `make bench-limits`.
#
#   BERTH, DRIVER, OUT   as for run.sh
#
# In the test machine, because it has all controllers on cgroup v2; limits do not depend on its speed. Measured are berth
# and the machine's own crun and runc, and the static crun if `make bench` has built it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$here/programs.sh" "$work/out/bin"
mkdir -p "$work"/{bin,out/work,integration,tests/data} "${OUT:?}"
cp -r "$here" "$work/integration/bench"
cp -r "$here/../../tests/data/docker" "$work/tests/data/"
cp "${BERTH:?}" "$work/bin/berth"
cp "${DRIVER:?}" "$work/bin/berth-bench"
subjects=(berth=/job/bin/berth)
peers=${XDG_CACHE_HOME:-$HOME/.cache}/berth/peers
if [ -x "$peers/crun-static" ]; then
    cp "$peers/crun-static" "$work/bin/"
    subjects+=("crun static=/job/bin/crun-static")
fi
subjects+=(crun=/usr/bin/crun runc=/usr/sbin/runc)

cat >"$work/job.sh" <<'JOB'
export BERTH=/job/bin/berth DRIVER=/job/bin/berth-bench OUT=/job/out PREFIX=bench- BENCH_FORCE=1
unshare --mount --propagation private --pid --fork --mount-proc \
    /job/integration/bench/run.sh --inside pure --limit 20 --only limits "$@" >/job/out/log 2>&1 || { cat /job/out/log; exit 1; }
JOB
"$here/../vm/run.sh" -t 900 -d "$work" -o "$work/result" -- bash /job/job.sh "${subjects[@]}"
cp "$work/result/report.md" "$OUT/limits.md"
cat "$OUT/limits.md"
