# shellcheck shell=bash
# lib.sh - sourced by the scripts of the test machine: where its parts are kept, and how QEMU is started.

vm_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_cache=${XDG_CACHE_HOME:-$HOME/.cache}/berth

# The recipe is everything that decides what is in the image; another recipe is another directory.
vm_recipe() { (cd "$vm_here" && cat build.sh lib.sh guest/* | sha256sum | cut -c1-12); }
vm_dir=$vm_cache/vm-$(vm_recipe)

vm_die() {
    echo "error: $*" >&2
    exit 125
}

# The QEMU of Debian 12 (7.2) corrupts this guest now and then; a newer one is unpacked beside it by build.sh.
vm_unpacked_qemu=$vm_cache/qemu-backports
vm_qemu_is_recent() {
    local version
    version=$(dpkg-query -W -f '${Version}' qemu-system-x86 2>/dev/null) && dpkg --compare-versions "$version" ge 1:8
}

# vm_qemu IMAGE_OPTIONS JOB_IMAGE CONTROL_FIFO: set the array QEMU to the command line, but for what is done with the
# character devices `out` (output of the job) and `console` (serial line), which the caller defines.
vm_qemu() {
    local image=$1 job=$2 control=$3
    if vm_qemu_is_recent; then
        QEMU=(qemu-system-x86_64)
    else
        QEMU=("$vm_unpacked_qemu/usr/bin/qemu-system-x86_64" -L "$vm_unpacked_qemu/usr/share/qemu"
            -L "$vm_unpacked_qemu/usr/share/seabios")
        export QEMU_MODULE_DIR=$vm_unpacked_qemu/usr/lib/x86_64-linux-gnu/qemu
    fi
    # The kernel does not probe what an emulated machine does slowly or wrongly (timers, watchdogs), and waits for no
    # one to type at a prompt: panic=-1 ends QEMU.
    local kernel="root=/dev/vda rw console=ttyS0 quiet loglevel=3 net.ifnames=0 panic=-1 mitigations=off audit=0
        nowatchdog nmi_watchdog=0 rcupdate.rcu_expedited=1 random.trust_cpu=on tsc=reliable no_timer_check"
    # shellcheck disable=SC2054  # the commas are QEMU's
    # Emulation in software: the test machine has to work where there is no KVM, and to be the same everywhere.
    QEMU+=(-nodefaults -no-user-config -display none -no-reboot -M q35 -cpu max -smp 2 -m 4G
        -accel tcg,thread=multi,tb-size=512
        -kernel "$vm_dir/vmlinux" -initrd "$vm_dir/initrd.gz" -append "${kernel//$'\n'/ }"
        -drive "if=none,id=root,format=raw,cache=unsafe,$image" -device virtio-blk-pci,drive=root
        -drive "if=none,id=job,format=raw,cache=unsafe,file=$job" -device virtio-blk-pci,drive=job
        -device virtio-rng-pci -device virtio-serial-pci
        -chardev "pipe,id=control,path=$control" -device virtserialport,chardev=control,name=control
        -device virtserialport,chardev=out,name=out -serial chardev:console)
}

# vm_job_image FILE [DIRECTORY]: a file system with a copy of the directory, for /job in the guest.
vm_job_image() {
    local image=$1 from=()
    [ -z "${2:-}" ] || from=(-d "$2")
    truncate -s 4G "$image"
    mke2fs -q -t ext4 -O ^has_journal,^metadata_csum,^resize_inode -E lazy_itable_init=0,nodiscard,root_owner=0:0 \
        -m 0 -i 65536 "${from[@]}" "$image"
}
