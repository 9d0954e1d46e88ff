#!/bin/bash
# shell.sh - a prompt in the test machine, with berth in PATH; `exit` turns it off and forgets what was changed.
#
#   BERTH   the binary to bring along
set -euo pipefail
# shellcheck source=integration/vm/lib.sh
. "$(dirname "$0")/lib.sh"
[ -t 0 ] || vm_die "vm-shell needs a terminal"
"$vm_here/build.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-vm.XXXXXX")
terminal=$(stty -g)
trap 'stty "$terminal"; rm -rf "$work"' EXIT

mkdir -p "$work/job/bin"
cp "${BERTH:?}" "$work/job/bin/berth"
vm_job_image "$work/job.img" "$work/job"
mkfifo "$work/control.in" "$work/control.out"
vm_qemu "file=$vm_dir/root.img,snapshot=on" "$work/job.img" "$work/control"
exec 8<>"$work/control.in" 9<>"$work/control.out"
read -r rows columns < <(stty size)
echo "shell $(date +%s.%N) $rows $columns" >&8

echo "the test machine starts in a few seconds; exit ends it"
# signal=off: Ctrl-C is for the shell in the guest.
TMPDIR=$work "${QEMU[@]}" -chardev stdio,id=console,signal=off -chardev "file,id=out,path=$work/out" 2>"$work/qemu.log" ||
    { cat "$work/qemu.log" >&2; exit 125; }
