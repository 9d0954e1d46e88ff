#!/bin/bash
# test.sh - all tests of tests/ in the test machine, for `make vm-test`.
#
#   BERTH                               the binary to test
#   TARGET, SUITE, TEST, TEST_THREADS   as for integration/test.sh
#
# The test binaries are built here and run there. A machine that fails is started once more, and that is said; a test that
# fails has failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

"$here/build.sh"
"$here/../need.sh" "find the test binaries" jq

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-vm-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
job=$work/job
mkdir -p "$job/bin" "$job/tests" "$job/checkout"

what=()
for suite in ${SUITE:-}; do
    if [ "$suite" = lib ]; then what+=(--lib); else what+=(--test "$suite"); fi
done
# The unit tests are the same on every kernel, and slow under emulation: only when asked for.
[ ${#what[@]} -gt 0 ] || what=(--test '*')
cargo test --locked --no-run --target "${TARGET:?}" --message-format=json-render-diagnostics "${what[@]}" >"$work/built"

jq -r 'select(.reason == "compiler-artifact" and .profile.test and .executable != null)
    | [.target.src_path, .executable] | @tsv' "$work/built" >"$work/list"
while IFS=$'\t' read -r source executable; do
    name=${source#"$PWD/"}
    cp "$executable" "$job/tests/${name//\//:}"
done <"$work/list"
cp "${BERTH:?}" "$job/bin/berth"
[ -n "$(ls "$job/tests")" ] || { echo "error: no test binaries were built" >&2; exit 1; }

# The files that tests read, found there under the same path as here.
tar --exclude=./target --exclude=./.git -c . | tar -x -C "$job/checkout"
echo "$PWD" >"$job/checkout-path"
cp "$here/run-tests.sh" "$job/"
printf 'TEST=%q TEST_THREADS=%q\n' "${TEST:-}" "${TEST_THREADS:-2}" >"$job/environment"

for attempt in first second; do
    status=0
    "$here/run.sh" -t 1500 -d "$job" -- bash /job/run-tests.sh | tee "$work/log" || status=${PIPESTATUS[0]}
    if [ "$status" != 125 ] || [ "$attempt" = second ]; then break; fi
    echo "vm-test: the test machine failed (not a test); starting it once more"
done
[ "$status" != 125 ] || echo "vm-test: the test machine failed twice"
"$here/../summary.sh" "$status" <"$work/log"
