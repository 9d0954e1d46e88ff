#!/bin/bash
# test.sh - the unit and integration tests on this machine, for `make test`.
#
#   TARGET         the Rust target to test
#   SUITE          names of files in tests/ (`lib` is the unit tests); default: all
#   TEST           run only tests whose name contains this
#   TEST_THREADS   how many tests run at once; default: cargo's choice
#
# A failed test fails the run: nothing is tried a second time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

what=()
for suite in ${SUITE:-}; do
    if [ "$suite" = lib ]; then what+=(--lib); else what+=(--test "$suite"); fi
done
[ ${#what[@]} -gt 0 ] || what=(--tests)

how=()
[ -z "${TEST:-}" ] || how+=("$TEST")
[ -z "${TEST_THREADS:-}" ] || how+=(--test-threads "$TEST_THREADS")

log=$(mktemp "${TMPDIR:-/tmp}/berth-test.XXXXXX")
BERTH_SKIPS=$(mktemp "${TMPDIR:-/tmp}/berth-skips.XXXXXX")
export BERTH_SKIPS
trap 'rm -f "$log" "$BERTH_SKIPS"' EXIT

status=0
cargo test --locked --no-fail-fast --target "$TARGET" "${what[@]}" -- "${how[@]}" </dev/null 2>&1 | tee "$log" || status=$?
cat "$BERTH_SKIPS" >>"$log"
"$here/summary.sh" "$status" <"$log"
