#!/bin/bash
# run.sh [TEST…] - run the OCI runtime-tools validation suite, for `make conformance`.
#
#   BERTH          the runtime to test
#   EXPECTATIONS   what to compare with (default: expectations.tsv beside this script)
#
# One line for each test: its result, the assertions that passed and failed, and the reason why it is expected to fail.
# Anything that is not as expected, better or worse, is an error. Full output stays in target/conformance.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
berth=$(realpath "$(command -v "${BERTH:?}")")
expectations=${EXPECTATIONS:-$here/expectations.tsv}
logs=${CARGO_TARGET_DIR:-$here/../../target}/conformance
limit=60

[ "$(id -u)" = 0 ] || { echo "error: the conformance suite runs as root" >&2; exit 1; }
"$here/../need.sh" "know this host's capabilities" libcap2-bin
suite=$("$here/build.sh")
mkdir -p "$logs"
logs=$(cd "$logs" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/berth-conformance.XXXXXX")

# Bundles are made in here, and a user namespace's root has to reach them.
# Containers of this run have a directory of their own, so that what a failed test leaves can be found and removed.
mkdir "$work/root" "$work/tmp"
chmod 755 "$work"
cat >"$work/runtime" <<RUNTIME
#!/bin/sh
exec $berth --root $work/root "\$@"
RUNTIME
chmod +x "$work/runtime"
remove_containers() {
    local container
    for container in "$work"/root/*/; do
        [ ! -d "$container" ] || "$work/runtime" delete --force "$(basename "$container")" >/dev/null 2>&1 || true
    done
}
# shellcheck disable=SC2317  # run by the trap
cleanup() {
    remove_containers
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

has_capability() { capsh --has-b="$1" >/dev/null 2>&1; }

cd "$suite"
if [ $# -gt 0 ]; then tests=("$@"); else
    tests=()
    for directory in validation/*/; do
        name=$(basename "$directory")
        [ "$name" = util ] || tests+=("$name")
    done
fi

unexpected=0 passed=0
for name in "${tests[@]}"; do
    log=$logs/$name.tap
    command=("./validation/$name/$name.t")
    # This test mounts in its caller's namespace, and then removes files through the mounts.
    [ "$name" != linux_ns_itype ] || command=(unshare -m "${command[@]}")
    status=0
    TMPDIR=$work/tmp RUNTIME=$work/runtime timeout -k 5 "$limit" "${command[@]}" >"$log" 2>&1 </dev/null || status=$?
    remove_containers

    ok=$(grep -c '^ok ' "$log" || true)
    not_ok=$(grep '^not ok ' "$log" | grep -vc ' # TODO ' || true)
    # The tests of hooks assert nothing: what they find wrong is only in a YAML block.
    silent=0
    [ $((ok + not_ok)) -gt 0 ] || silent=$(grep -c '^ *"error":' "$log" || true)
    if [ "$status" = 0 ] && [ "$not_ok" = 0 ] && [ "$silent" = 0 ]; then result=pass; else result=fail; fi
    [ "$result" = fail ] || passed=$((passed + 1))
    [ "$status" != 124 ] || echo "ended after $limit s" >>"$log"

    line=$(grep -P "^\Q$name\E\t" "$expectations" || true)
    IFS=$'\t' read -r _ expected reason <<<"$line"
    case $expected in
    # What depends on the host is written fail-without:CAPABILITY, and passes on a host that has it.
    fail-without:*) if has_capability "${expected#*:}"; then expected=pass reason=''; else expected=fail; fi ;;
    # A test that races with the container may do either; its reason says how.
    racy) expected=$result reason="racy: $reason" ;;
    esac
    note=$reason
    if [ -z "$line" ]; then
        note="UNEXPECTED: not in ${expectations##*/}"
    elif [ "$result" != "$expected" ]; then
        note="UNEXPECTED: should $expected${reason:+ ($reason)}"
    fi
    case $note in UNEXPECTED*) unexpected=$((unexpected + 1)) ;; esac
    printf '%-4s  %-34s %3d ok %3d not ok  %s\n' "$result" "$name" "$ok" "$not_ok" "$note"
done

echo "${#tests[@]} tests: $passed pass, $((${#tests[@]} - passed)) fail, $unexpected not as expected; output in $logs"
[ "$unexpected" = 0 ]
