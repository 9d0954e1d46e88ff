#!/bin/bash
# configure.sh ROOT - make the Debian tree at ROOT into the test machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$1
units=$root/etc/systemd/system

echo berth-test >"$root/etc/hostname"
printf '%s\n' '127.0.0.1 localhost berth-test' '::1 localhost' >"$root/etc/hosts"
echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
echo a0c1e0b5c0de4e5f8a1b2c3d4e5f6071 >"$root/etc/machine-id"
: >"$root/etc/fstab"

# root has no password (the machine has no network and no login prompt); `tester` is for rootless containers.
chroot "$root" passwd -d root >/dev/null
chroot "$root" useradd -m -u 1000 -s /bin/bash tester
for file in subuid subgid; do
    grep -q '^tester:' "$root/etc/$file" || echo tester:100000:65536 >>"$root/etc/$file"
done

# Units that a machine which lives for minutes does not need: housekeeping, logins, hardware. AppArmor's service
# compiles a hundred profiles, 10 s under emulation: the engines and the tests load the few they use.
mask() {
    local unit
    for unit; do ln -sf /dev/null "$units/$unit"; done
}
mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-tmpfiles-clean.timer podman-auto-update.timer podman-clean-transient.service podman-restart.service \
    getty.target getty@tty1.service serial-getty@ttyS0.service console-getty.service systemd-user-sessions.service \
    systemd-ask-password-wall.path systemd-ask-password-console.path \
    netavark-dhcp-proxy.service netavark-dhcp-proxy.socket netavark-firewalld-reload.service systemd-networkd.service \
    systemd-timesyncd.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-random-seed.service systemd-journal-flush.service systemd-machine-id-commit.service \
    systemd-firstboot.service systemd-hwdb-update.service systemd-journal-catalog-update.service \
    systemd-update-done.service systemd-sysusers.service systemd-udev-load-credentials.service ldconfig.service \
    systemd-rfkill.service systemd-rfkill.socket systemd-pstore.service remote-fs.target systemd-remount-fs.service \
    proc-sys-fs-binfmt_misc.automount systemd-binfmt.service sys-kernel-config.mount \
    modprobe@drm.service modprobe@configfs.service modprobe@efi_pstore.service \
    systemd-quotacheck.service quotaon.service systemd-hibernate-clear.service systemd-sysext.socket \
    systemd-tpm2-setup.service systemd-tpm2-setup-early.service systemd-pcrmachine.service systemd-pcrphase.service \
    systemd-pcrphase-sysinit.service systemd-pcrextend.socket systemd-pcrlock.socket systemd-creds.socket \
    systemd-initctl.socket apparmor.service

# Engines are started by the tests that want them, not at boot.
rm -f "$units"/multi-user.target.wants/{docker,containerd}.service "$units"/sockets.target.wants/docker.socket \
    "$root"/usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service

drop_in() { # UNIT, text on stdin
    mkdir -p "$units/$1.d"
    cat >"$units/$1.d/berth.conf"
}
# A user gets all controllers, as distributions for rootless containers set it up.
drop_in user@.service <<'UNIT'
[Service]
Delegate=cpu cpuset io memory pids
UNIT
drop_in systemd-udev-trigger.service <<'UNIT'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-match=block --subsystem-match=virtio-ports --subsystem-match=net --subsystem-match=mem --subsystem-match=misc --subsystem-match=tty
UNIT

mkdir -p "$root"/etc/systemd/{journald,system}.conf.d "$root"/etc/docker "$root"/etc/containers
printf '%s\n' '[Journal]' Storage=volatile RuntimeMaxUse=64M ForwardToConsole=no RateLimitBurst=0 \
    >"$root/etc/systemd/journald.conf.d/berth.conf"
printf '%s\n' '[Manager]' DefaultTimeoutStopSec=10s ShowStatus=no >"$root/etc/systemd/system.conf.d/berth.conf"
printf 'blacklist %s\n' kvm kvm_intel kvm_amd ahci evdev serio_raw button >"$root/etc/modprobe.d/berth.conf"

# The berth under test comes with each job.
cat >"$root/etc/docker/daemon.json" <<'JSON'
{ "runtimes": { "berth": { "path": "/job/bin/berth" }, "crun": { "path": "/usr/bin/crun" } } }
JSON
cat >"$root/etc/containers/containers.conf" <<'TOML'
[engine]
runtime = "crun"
[engine.runtimes]
berth = ["/job/bin/berth"]
TOML

install -m 755 "$here/agent.sh" "$root/usr/local/sbin/job-agent"
install -m 755 "$here/as-user.sh" "$root/usr/local/bin/as-user"
cat >"$units/job-agent.service" <<'UNIT'
[Unit]
Description=Runs the job that the host hands in
DefaultDependencies=no
After=basic.target dbus.socket
Wants=basic.target dbus.socket
[Service]
Type=exec
ExecStart=/usr/local/sbin/job-agent
StandardInput=null
StandardOutput=journal
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -sf ../job-agent.service "$units/multi-user.target.wants/job-agent.service"
