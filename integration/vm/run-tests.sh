#!/bin/bash
# run-tests.sh - in the test machine: run the test binaries of the job, print what `cargo test` would print.
set -uo pipefail

# Tests know the path of their checkout from when they were compiled.
checkout=$(cat /job/checkout-path)
mkdir -p "$(dirname "$checkout")"
ln -s /job/checkout "$checkout"
export CARGO_MANIFEST_DIR=$checkout
# Emulated, everything takes many times longer.
export BERTH_TEST_TIMEOUT=240 BERTH_BIN=/job/bin/berth BERTH_SKIPS=/run/berth-skips
: >"$BERTH_SKIPS"
# shellcheck source=/dev/null
. /job/environment

echo "test machine: Linux $(uname -r), $(systemctl --version | head -n 1), $(stat -fc %T /sys/fs/cgroup)"
status=0
for binary in /job/tests/*; do
    name=${binary##*/}
    read -ra parts <"/job/parts/$name"
    name=${name//://}
    echo "     Running $name"
    (cd "$checkout" && timeout -k 10 600 "$binary" --test-threads "$TEST_THREADS" "${parts[@]}" </dev/null) || {
        code=$?
        status=1
        [ $code != 124 ] && [ $code != 137 ] || echo "$name: ended after 600 s"
    }
done
cat "$BERTH_SKIPS"
exit $status
