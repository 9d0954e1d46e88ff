#!/bin/bash
# vm.sh - the scenarios of run.sh in the test machine, for `make engines-vm`: cgroup v2 alone, systemd, AppArmor, newer
# engines than Debian 12 has. Options are those of run.sh; RUNC=/usr/bin/crun is another control (a path in the machine).
#
# Each file of scenarios, and each runtime, has a machine of its own. Under emulation all take hours. A machine that fails
# is started once more.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/../vm/build.sh" quiet

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-engines-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/job/bin" "$work/job/integration" "$work/job/tests/data" "$work/out"
cp "${BERTH:?the binary under test}" "$work/job/bin/berth"
cp -r "$here" "$work/job/integration/engines"
cp -r "$here/../../tests/data/calls" "$work/job/tests/data/calls"

status=0
: >"$work/outcomes"
files=(docker-systemd docker-life docker-options docker-site docker-kept containerd-systemd containerd-ctr cri
    podman-systemd podman-life podman-pods podman-rootless)
for file in "${files[@]}"; do
    for wanted in ${ENGINES:-${files[*]}}; do
        [[ $file == "$wanted" || $file == "$wanted"-* ]] || continue
        for runtime in ${RUNTIMES:-berth control}; do
            echo "== $file, $runtime"
            for attempt in first second; do
                result=0
                "$here/../vm/run.sh" -t 2400 -d "$work/job" -o "$work/out" -- env BERTH=/job/bin/berth ENGINES="$file" \
                    RUNTIMES="$runtime" ONLY="${ONLY:-}" ${RUNC:+RUNC="$RUNC"} ${RECORD:+RECORD=/job/out/calls} \
                    bash /job/integration/engines/run.sh --machine || result=$?
                [[ $result == 125 && $attempt == first ]] || break
                echo "the test machine failed (not a scenario); starting it once more"
            done
            [[ $result == 0 ]] || status=1
            cat "$work/out/outcomes" >>"$work/outcomes" || status=1
            rm -f "$work/out/outcomes"
        done
        break
    done
done
shopt -s nullglob
for calls in "$work"/out/calls/*.txt; do
    mkdir -p "$RECORD"
    cat "$calls" >>"$RECORD/${calls##*/}"
    sort -u -o "$RECORD/${calls##*/}" "$RECORD/${calls##*/}"
done

awk -F '\t' -v control="$(basename "${RUNC:-runc}")" '
    !($1 in number) { number[$1] = ++count; name[count] = $1 }
    { outcome[$1, $2] = $3; of[$2]++; passed[$2] += $3 == "ok" }
    $1 ~ /: nothing is left behind$/ { looked++; clean += $3 == "ok" }
    END {
        printf "\n%-74s %-6s %s\n", "scenario, in the test machine", "berth", control
        for (i = 1; i <= count; i++) printf "%-74s %-6s %s\n", name[i], outcome[name[i], "berth"], outcome[name[i], "control"]
        printf "%d of %d passed with berth, %d of %d with %s\n", passed["berth"], of["berth"], passed["control"], of["control"], control
        printf "mounts, processes, cgroups, units, links and files were looked for after each of %d runs: nothing in %d\n", looked, clean
    }' "$work/outcomes"
exit $status
