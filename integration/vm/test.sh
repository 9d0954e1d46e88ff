#!/bin/bash
# test.sh - tests of tests/ in the test machine, for `make vm-test`.
#
#   BERTH                        the binary to test
#   SUITE                        names of files in tests/ (`lib` is the unit tests, `all` all files), or NAME=PART for those
#                                tests in it whose names contain PART; default: those below
#   TARGET, TEST, TEST_THREADS   as for integration/test.sh
#
# The test binaries are built here and run there. A machine that fails is started once more, and that is said; a test that
# fails has failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

# What depends on the cgroup version or on systemd: all tests about limits, and those about the life of containers, which
# begins and ends in a cgroup. The other tests show the same on every host, and emulation makes them many times slower.
suites=(
    cgroups resources update events systemd
    lifecycle exec namespaces interruptions robustness real_configs
    mounts=cgroup filesystem=cgroup cli=systemd lib=cgroup::files lib=cgroup::systemd::real
)
[ -z "${SUITE:-}" ] || read -ra suites <<<"$SUITE"

"$here/build.sh"
"$here/../need.sh" "find the test binaries" jq

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-vm-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
job=$work/job
mkdir -p "$job/bin" "$job/tests" "$job/checkout" "$job/parts"

declare -A parts=()
for suite in "${suites[@]}"; do
    name=${suite%%=*}
    parts[$name]=${parts[$name]:-}
    [ "$name" = "$suite" ] || parts[$name]+=" ${suite#*=}"
done
what=()
for name in "${!parts[@]}"; do
    case $name in
    all) what+=(--test '*') ;;
    lib) what+=(--lib) ;;
    *) what+=(--test "$name") ;;
    esac
done
cargo test --locked --no-run --target "${TARGET:?}" --message-format=json-render-diagnostics "${what[@]}" >"$work/built"

jq -r 'select(.reason == "compiler-artifact" and .profile.test and .executable != null)
    | [if .target.kind == ["test"] then .target.name else "lib" end, .target.src_path, .executable] | @tsv' \
    "$work/built" >"$work/list"
while IFS=$'\t' read -r name source executable; do
    file=${source#"$PWD/"}
    file=${file//\//:}
    cp "$executable" "$job/tests/$file"
    echo "${TEST:-${parts[$name]:-}}" >"$job/parts/$file"
done <"$work/list"
cp "${BERTH:?}" "$job/bin/berth"
[ -n "$(ls "$job/tests")" ] || { echo "error: no test binaries were built" >&2; exit 1; }

# The files that tests read, found there under the same path as here.
tar --exclude=./target --exclude=./.git -c . | tar -x -C "$job/checkout"
echo "$PWD" >"$job/checkout-path"
cp "$here/run-tests.sh" "$job/"
echo "TEST_THREADS=${TEST_THREADS:-2}" >"$job/environment"

for attempt in first second; do
    status=0
    "$here/run.sh" -t 1500 -d "$job" -- bash /job/run-tests.sh | tee "$work/log" || status=${PIPESTATUS[0]}
    if [ "$status" != 125 ] || [ "$attempt" = second ]; then break; fi
    echo "vm-test: the test machine failed (not a test); starting it once more"
done
[ "$status" != 125 ] || echo "vm-test: the test machine failed twice"
"$here/../summary.sh" "$status" <"$work/log"
