// floor.c - the least that a container costs: the kernel objects of the default configuration (`berth spec`) made with
// bare system calls, one process, no checks of anything that could be an attack. No runtime can be faster.
//
//   floor run ROOTFS ID [devices]    namespaces, cgroup, mounts, devices, masks, capabilities; runs /bin/true; waits.
//                                    With `devices` a device program is loaded and attached as well.
//   floor exec PID CGROUP            joins the namespaces and the cgroup of PID, runs /bin/true, waits.
//
// Both wait in the same way as a runtime in the foreground, and `run` removes its cgroup.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((long)(call) < 0) {                                                                                        \
            dprintf(2, "floor: line %d: %s: %m\n", __LINE__, #call);                                                   \
            _exit(99);                                                                                                 \
        }                                                                                                              \
    } while (0)
#define LENGTH(array) (sizeof(array) / sizeof *(array))

#define INTO_CGROUP 0x200000000ULL // CLONE_INTO_CGROUP

static long clone_into(unsigned long long namespaces, int cgroup) {
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
    // set_tid_size, cgroup.
    unsigned long long arguments[11] = {[0] = namespaces | INTO_CGROUP, [4] = SIGCHLD, [10] = cgroup};
    return syscall(SYS_clone3, arguments, sizeof arguments);
}

// The capabilities of the default configuration: CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE.
static void drop_privileges(void) {
    const unsigned kept = 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_AUDIT_WRITE;
    for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
        if (capability >= 32 || !(kept >> capability & 1)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};
    MUST(syscall(SYS_capset, &header, data));
}

static void run_program(void) {
    char *arguments[] = {"/bin/true", 0}, *environment[] = {"PATH=/bin", 0};
    execve(arguments[0], arguments, environment);
    MUST(-1);
}

static void loopback_up(void) {
    int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(socket_fd);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    MUST(ioctl(socket_fd, SIOCSIFFLAGS, &request));
    close(socket_fd);
}

static void mounts(void) {
    const unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    MUST(mount("proc", "proc", "proc", 0, 0));
    MUST(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    mkdir("dev/pts", 0755);
    MUST(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
    mkdir("dev/shm", 0755);
    MUST(mount("shm", "dev/shm", "tmpfs", safe, "mode=1777,size=65536k"));
    mkdir("dev/mqueue", 0755);
    MUST(mount("mqueue", "dev/mqueue", "mqueue", safe, 0));
    MUST(mount("sysfs", "sys", "sysfs", safe | MS_RDONLY, 0));
    MUST(mount("cgroup", "sys/fs/cgroup", "cgroup2", safe | MS_RDONLY | MS_RELATIME, 0));
}

static void devices(void) {
    static const struct {
        const char *name;
        int major, minor;
    } nodes[] = {{"dev/null", 1, 3}, {"dev/zero", 1, 5},   {"dev/full", 1, 7},
                 {"dev/tty", 5, 0},  {"dev/random", 1, 8}, {"dev/urandom", 1, 9}};
    for (size_t i = 0; i < LENGTH(nodes); i++)
        MUST(mknod(nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
    symlink("/proc/self/fd", "dev/fd");
    symlink("/proc/self/fd/0", "dev/stdin");
    symlink("/proc/self/fd/1", "dev/stdout");
    symlink("/proc/self/fd/2", "dev/stderr");
    symlink("/proc/kcore", "dev/core");
    symlink("pts/ptmx", "dev/ptmx");
}

static void masks(void) {
    static const char *masked[] = {"proc/acpi",       "proc/asound",      "proc/kcore",       "proc/keys",
                                   "proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug",
                                   "sys/firmware",    "proc/scsi"};
    for (size_t i = 0; i < LENGTH(masked); i++) {
        struct stat status;
        if (stat(masked[i], &status) < 0) continue;
        if (S_ISDIR(status.st_mode)) MUST(mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, 0));
        else MUST(mount("/dev/null", masked[i], 0, MS_BIND, 0));
    }
    static const char *readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    for (size_t i = 0; i < LENGTH(readonly); i++)
        if (mount(readonly[i], readonly[i], 0, MS_BIND | MS_REC, 0) == 0)
            MUST(mount(0, readonly[i], 0, MS_BIND | MS_REC | MS_REMOUNT | MS_RDONLY, 0));
}

static void enter_root(void) {
    int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    MUST(old);
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(fchdir(old));
    MUST(umount2(".", MNT_DETACH));
    close(old);
    MUST(chdir("/"));
    MUST(mount(0, "/", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
}

// As short as a device program can be; a runtime's compares some ten rules.
static void attach_device_program(int cgroup) {
    struct bpf_insn program[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                                 .insns = (unsigned long)program,
                                 .insn_cnt = LENGTH(program),
                                 .license = (unsigned long)"GPL"};
    int loaded = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
    MUST(loaded);
    union bpf_attr attach = {.target_fd = cgroup,
                             .attach_bpf_fd = loaded,
                             .attach_type = BPF_CGROUP_DEVICE,
                             .attach_flags = BPF_F_ALLOW_MULTI};
    MUST(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
    close(loaded);
}

static int wait_for(long pid) {
    int status;
    MUST(wait4(pid, &status, 0, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run(const char *rootfs, const char *id, int with_devices) {
    char path[256];
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", id);
    MUST(mkdir(path, 0755));
    int cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    MUST(cgroup);
    if (with_devices) attach_device_program(cgroup);

    long pid = clone_into(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID, cgroup);
    MUST(pid);
    if (pid == 0) {
        MUST(unshare(CLONE_NEWCGROUP));
        loopback_up();
        MUST(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
        MUST(mount(rootfs, rootfs, 0, MS_BIND | MS_REC, 0));
        MUST(chdir(rootfs));
        mounts();
        devices();
        masks();
        enter_root();
        MUST(sethostname("floor", 5));
        setsid();
        drop_privileges();
        run_program();
    }
    int status = wait_for(pid);
    MUST(rmdir(path));
    return status;
}

static int join(pid_t init, const char *cgroup_path) {
    int pidfd = syscall(SYS_pidfd_open, init, 0);
    MUST(pidfd);
    int cgroup = open(cgroup_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    MUST(cgroup);
    MUST(prctl(PR_SET_DUMPABLE, 0));
    MUST(setns(pidfd, CLONE_NEWPID));
    long pid = clone_into(0, cgroup);
    MUST(pid);
    if (pid == 0) {
        MUST(setns(pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP));
        setsid();
        drop_privileges();
        syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
        run_program();
    }
    return wait_for(pid);
}

int main(int count, char **argument) {
    if (count >= 4 && strcmp(argument[1], "run") == 0) return run(argument[2], argument[3], count > 4);
    if (count == 4 && strcmp(argument[1], "exec") == 0) return join(atoi(argument[2]), argument[3]);
    dprintf(2, "usage: floor run ROOTFS ID [devices] | floor exec PID CGROUP\n");
    return 2;
}
