// peak.c - run a command and say the largest resident memory of any of its processes, in KiB, in a file:
//
//   peak FILE COMMAND…
//
// The kernel hands the peak of the process that calls execve on to the program, so this one has to be tiny: static musl,
// some tens of KiB. Processes that outlive the
// command do not count.
#include <sys/resource.h>
#include <sys/wait.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **argument) {
    if (count < 3) return 2;
    pid_t pid = vfork();
    if (pid < 0) return 125;
    if (pid == 0) {
        execv(argument[2], argument + 2);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (wait4(pid, &status, 0, &usage) < 0) return 125;
    // Of the command and all that it has waited for.
    getrusage(RUSAGE_CHILDREN, &usage);
    FILE *file = fopen(argument[1], "we");
    if (!file) return 125;
    fprintf(file, "%ld\n", usage.ru_maxrss);
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
