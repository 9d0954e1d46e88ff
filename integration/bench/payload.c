// payload.c - the program inside measured containers where busybox would be in the way: static, a few pages.
//
//   payload true            ends
//   payload hold            waits for a signal
//   payload calls COUNT     the least nanoseconds per system call over some loops of COUNT, one line each
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

// The least of ten loops: what disturbs a loop only makes it longer.
static void measure(const char *name, long number, long first, long count) {
    double least = 1e9;
    for (int loop = 0; loop < 10; loop++) {
        long start = now();
        for (long call = 0; call < count; call++) syscall(number, first, 0, 0, 0, 0, 0);
        double each = (double)(now() - start) / count;
        if (each < least) least = each;
    }
    printf("%s %.1f\n", name, least);
}

int main(int argument_count, char **argument) {
    if (argument_count == 3 && strcmp(argument[1], "calls") == 0) {
        long count = atol(argument[2]);
        measure("getppid", SYS_getppid, 0, count);
        measure("epoll_wait", SYS_epoll_pwait, -1, count);
        measure("personality", SYS_personality, 0xffffffff, count);
        return 0;
    }
    if (argument_count == 2 && strcmp(argument[1], "hold") == 0) pause();
    return 0;
}
