#!/bin/bash
# summary.sh STATUS <LOG - what a test run came to: skips with their reasons, failed tests by name, and as the last
# line `N passed, N failed, N skipped`. Exits 0 only if STATUS is 0, nothing failed and something passed.
#
# LOG is the output of `cargo test`, plus the lines `SKIPPED test: reason` of the tests that found out at run time that
# this machine cannot run them. To cargo such a test has passed; here it has not.
set -euo pipefail

awk -v status="$1" '
function end_suite() {
    if (suite != "") { failed++; failures[++named] = suite ": ended without a result" }
    suite = ""
}
/^ +Running / { end_suite(); suite = $2 == "unittests" ? $3 : $2; listed = 0; next }
# libtest ends with the list of names; an earlier "failures:" heads the output of the tests.
/^failures:$/ { listed = 0; next }
/^    [^ ]+$/ { list[++listed] = $1; next }
/^test result: / {
    passed += $4; failed += $6; ignored += $8
    if ($6 > 0) for (i = 1; i <= listed; i++) failures[++named] = suite ": " list[i]
    suite = ""
    next
}
/^SKIPPED / { if (!($2 in seen)) { seen[$2] = 1; skips[++skipped] = $0 } }
END {
    end_suite()
    print ""
    for (i = 1; i <= skipped; i++) print skips[i]
    for (i = 1; i <= named; i++) print "FAILED " failures[i]
    if (status != 0 && !failed) print "FAILED: the tests ended with status " status " before they could be counted"
    if (passed + failed == 0) print "FAILED: no test ran"
    printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped + ignored
    exit status != 0 || failed || passed == 0
}'
