#!/bin/bash
# run.sh [-t SECONDS] [-d DIR] [-o OUT] -- COMMAND… - run a command as root in the test machine.
#
#   -t SECONDS   give up after this time (default 300)
#   -d DIR       a copy of DIR is /job in the guest; /job/bin is first in PATH, /job is the working directory
#   -o OUT       what the command leaves in /job/out is copied here
#
# One COMMAND word is a line for the shell, several are a command and its arguments. Each run boots the same image
# afresh. Output goes to our stdout. The exit status is the command's; 124: it took too long; 125: the machine failed.
set -euo pipefail
# shellcheck source=integration/vm/lib.sh
. "$(dirname "$0")/lib.sh"

limit=300 dir='' out=''
while getopts t:d:o: option; do
    case $option in
    t) limit=$OPTARG ;;
    d) dir=$OPTARG ;;
    o) out=$OPTARG ;;
    *) exit 125 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 125; }
if [ $# -eq 1 ]; then command=$1; else command=${*@Q}; fi

# Only build.sh keeps what a run writes to the disk: it makes the image.
if [ -n "${BERTH_VM_KEEP:-}" ]; then snapshot=off; else
    snapshot=on
    "$vm_here/build.sh" quiet >&2
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-vm.XXXXXX")
qemu=''
# shellcheck disable=SC2317  # run by the trap
cleanup() {
    [ -z "$qemu" ] || kill -9 "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

vm_job_image "$work/job.img" "$dir"
mkfifo "$work/control.in" "$work/control.out" "$work/stdin"
vm_qemu "file=$vm_dir/root.img,snapshot=$snapshot" "$work/job.img" "$work/control"
# An input that stays empty, and open: at its end QEMU would disconnect the port, and with it the output.
exec 7<>"$work/stdin" 8<>"$work/control.in" 9<>"$work/control.out"
# TMPDIR: the snapshot, in which QEMU keeps what the guest writes, goes away with the rest.
TMPDIR=$work "${QEMU[@]}" -chardev stdio,id=out,signal=off -chardev "file,id=console,path=$work/console.log" \
    <&7 2>"$work/qemu.log" 8>&- 9>&- &
qemu=$!
echo "run $(date +%s.%N) $(base64 -w0 <<<"$command")" >&8

status=125 started='' boot_limit=120
while :; do
    if read -r -t 1 verb value <&9; then
        case $verb in
        start) started=$SECONDS ;;
        rc)
            status=$value
            break
            ;;
        esac
    elif ! kill -0 "$qemu" 2>/dev/null; then
        echo "vm: the machine ended before the command did" >&2
        break
    elif [ -z "$started" ] && [ "$SECONDS" -ge "$boot_limit" ]; then
        echo "vm: the machine did not start within $boot_limit s" >&2
        break
    elif [ -n "$started" ] && [ $((SECONDS - started)) -ge "$limit" ]; then
        echo "vm: the command did not end within $limit s" >&2
        status=124
        break
    fi
done
if [ -z "$started" ] || [ "$status" = 124 ] || ! kill -0 "$qemu" 2>/dev/null; then
    tail -n 20 "$work/qemu.log" "$work/console.log" >&2 || true
fi
if [ "$status" != 124 ] && [ "$status" != 125 ]; then timeout 10 tail -f /dev/null --pid="$qemu" -s 0.05 || true; fi
kill -9 "$qemu" 2>/dev/null || true
wait "$qemu" 2>/dev/null || true
qemu=''

if [ -n "$out" ]; then
    mkdir -p "$out" "$work/out"
    debugfs -R "rdump /out $work/out" "$work/job.img" >/dev/null 2>&1 || true
    [ ! -d "$work/out/out" ] || cp -a "$work/out/out/." "$out/"
fi
exit "$status"
