#!/bin/bash
# build.sh - build the test machine: a Debian guest with pure cgroup v2, systemd and the engines, for QEMU.
#
# The image is kept in ${XDG_CACHE_HOME:-~/.cache}/berth/vm-HASH, HASH being that of the recipe (this directory's
# build.sh, lib.sh and guest/): does nothing if it is there, builds anew when the recipe has changed.
set -euo pipefail
# shellcheck source=integration/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=integration/apt.sh
. "$vm_here/../apt.sh"

suite=trixie kernel_package=linux-image-cloud-amd64

[ "$(uname -m)" = x86_64 ] || vm_die "the test machine is x86_64, this machine is $(uname -m)"
"$vm_here/../need.sh" "run the test machine" qemu-system-x86 e2fsprogs ||
    vm_die "the test machine needs QEMU, which could not be installed"
[ ! -e "$vm_dir/complete" ] || { [ "${1:-}" = quiet ] || echo "$vm_dir is up to date"; exit 0; }

[ "$(id -u)" = 0 ] || vm_die "only root can build the test machine"
"$vm_here/../need.sh" "build the test machine" mmdebstrap zstd xz-utils python3 cpio debian-archive-keyring
mkdir -p "$vm_cache"
exec 9>"$vm_cache/vm.lock"
flock 9
[ ! -e "$vm_dir/complete" ] || exit 0
rm -rf "$vm_dir"
mkdir "$vm_dir"
work=$(mktemp -d "$vm_cache/vm-work.XXXXXX")
trap 'rm -rf --one-file-system "$work"; [ -e "$vm_dir/complete" ] || rm -rf "$vm_dir"' EXIT
say() { echo "[vm ${SECONDS}s] $*"; }

mirror=$(debian_mirror) || vm_die "no package mirror to build the test machine from"

if ! vm_qemu_is_recent && [ ! -d "$vm_unpacked_qemu" ]; then
    say "QEMU from the backports of this Debian (unpacked, not installed)"
    mkdir -p "$work/qemu" "$work/debs"
    # shellcheck source=/dev/null
    private_apt "$work/apt" "$(. /etc/os-release && echo "$VERSION_CODENAME")-backports" || vm_die "no recent QEMU"
    (cd "$work/debs" && "${APT[@]}" download qemu-system-x86 qemu-system-common qemu-system-data seabios >/dev/null)
    for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/qemu"; done
    # Its libraries are those that the installed qemu-system-x86 brought.
    if ldd "$work/qemu/usr/bin/qemu-system-x86_64" | grep 'not found'; then vm_die "the unpacked QEMU does not run here"; fi
    mv "$work/qemu" "$vm_unpacked_qemu"
fi

say "a Debian tree ($suite) from $mirror"
root=$work/root
packages=$(grep -v '^#' "$vm_here/guest/packages" | xargs | tr ' ' ,)
no_docs=()
for path in man doc locale info; do no_docs+=("--dpkgopt=path-exclude=/usr/share/$path/*"); done
# The kernel is unpacked, not installed: an installed one would build an initrd of its own. Variables below are the
# hook's own, expanded in the tree.
# shellcheck disable=SC2016
take_kernel='chroot "$1" sh -euc "mkdir /kernel && cd /kernel && apt-get -q update >/dev/null
    packages=\$(apt-cache depends --recurse --important '$kernel_package' |
        grep -E \"^linux-(image|binary|modules|base)-.*[0-9].*\" | sort -u)
    apt-get -o APT::Sandbox::User=root -qq download \$packages
    for deb in *.deb; do dpkg-deb -x \$deb tree; done; rm *.deb"'
# In a mount namespace of its own: nothing it mounts can be seen, or be left behind, outside.
unshare -m --propagation private mmdebstrap --quiet --mode=root --variant=minbase \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt=force-unsafe-io "${no_docs[@]}" \
    --customize-hook="$take_kernel" --include="$packages" "$suite" "$root" "$mirror" ||
    vm_die "the Debian tree of the test machine could not be made from $mirror"
mv "$root/kernel/tree" "$work/kernel"
rmdir "$root/kernel"

say "the kernel, its modules, the initial ramdisk"
modules=("$work"/kernel/usr/lib/modules/* "$work"/kernel/lib/modules/*)
for path in "${modules[@]}"; do [ ! -d "$path" ] || modules=("$path"); done
version=${modules[0]##*/}
mkdir -p "$root/usr/lib/modules"
cp -a "${modules[0]}" "$root/usr/lib/modules/"
find "$root/usr/lib/modules" -name '*.ko.xz' -print0 | xargs -0 -r -P2 -n64 xz -d
chroot "$root" depmod "$version"
cp "$work/kernel/boot/config-$version" "$root/boot/"
# QEMU starts an uncompressed kernel directly (PVH), which saves the seconds that emulated decompression takes. The
# kernel is the zstd frame in the bzImage that begins with an ELF header.
python3 - "$work/kernel/boot/vmlinuz-$version" "$vm_dir/vmlinux" <<'PYTHON'
import subprocess, sys
image = open(sys.argv[1], "rb").read()
at = image.find(b"\x28\xb5\x2f\xfd")
while at >= 0:
    kernel = subprocess.run(["zstd", "-dcq"], input=image[at:], capture_output=True).stdout
    if kernel.startswith(b"\x7fELF"):
        open(sys.argv[2], "wb").write(kernel)
        sys.exit()
    at = image.find(b"\x28\xb5\x2f\xfd", at + 1)
sys.exit("no zstd-compressed kernel in " + sys.argv[1])
PYTHON

initrd=$work/initrd
mkdir -p "$initrd"/{bin,dev,mnt,modules}
cp "$root/usr/bin/busybox" "$initrd/bin/busybox"
ln -s busybox "$initrd/bin/sh"
loads=$(chroot "$root" modprobe -a -S "$version" --show-depends -q virtio_blk virtio_rng ext4 2>/dev/null |
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
for module in $loads; do cp "$root$module" "$initrd/modules/"; done
cat >"$initrd/init" <<INIT
#!/bin/sh
/bin/busybox mount -t devtmpfs dev /dev
for module in $(for module in $loads; do basename "$module"; done | xargs); do /bin/busybox insmod /modules/\$module; done
tries=0
until [ -b /dev/vda ] || [ \$tries -gt 200 ]; do /bin/busybox usleep 10000; tries=\$((tries + 1)); done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /mnt
/bin/busybox mount --move /dev /mnt/dev
exec /bin/busybox switch_root /mnt /sbin/init
INIT
chmod +x "$initrd/init"
(cd "$initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$vm_dir/initrd.gz"

say "the guest's configuration and disk"
bash "$vm_here/guest/configure.sh" "$root"
truncate -s 8G "$vm_dir/root.img"
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum,^resize_inode -E lazy_itable_init=0,nodiscard -m 0 -i 32768 -L root \
    -d "$root" "$vm_dir/root.img"
chroot "$root" dpkg-query -W >"$vm_dir/packages.txt"

say "first start: the engines and their images"
mkdir "$work/job"
cp "$vm_here/guest/prepare.sh" "$work/job/"
BERTH_VM_KEEP=1 "$vm_here/run.sh" -t 600 -d "$work/job" -- bash /job/prepare.sh ||
    vm_die "the engines did not start in the test machine (status $?)"

touch "$vm_dir/complete"
say "done: $vm_dir, $(du -sh "$vm_dir" | cut -f1)"
