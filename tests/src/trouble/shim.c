/* A disk that refuses or fails, and a clock that jumps, for a program that is started with this library before it
 * (LD_PRELOAD). What it does is read from a file of 16 bytes that the test changes while the program runs:
 *
 *   0  int32  errno of what fails; 0: nothing does
 *   4  int32  what fails below the watched folder: 1 opening for writing, writing, renaming; 2 flushing
 *   8  int64  seconds that the clock is ahead
 *
 * Linux, 64 bits. The environment names the file (TROUBLE_SWITCH) and the folder (TROUBLE_FOLDER). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WRITES 1
#define FLUSHES 2

struct trouble {
    volatile int32_t error;
    volatile int32_t what;
    volatile int64_t seconds;
};

static struct trouble calm;
static struct trouble *now = &calm;
static const char *folder;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TROUBLE_SWITCH");
    folder = getenv("TROUBLE_FOLDER");
    if (!path || !folder) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *seen = mmap(NULL, sizeof(struct trouble), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (seen != MAP_FAILED) now = seen;
}

static int is_below(const char *path) {
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_fails(const char *path) {
    if (!(now->what & WRITES) || !now->error || !is_below(path)) return 0;
    errno = now->error;
    return 1;
}

static int file_fails(int fd, int what) {
    if (!(now->what & what) || !now->error) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!is_below(path)) return 0;
    errno = now->error;
    return 1;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | __O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
#define IS_WRITING(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC))

int open(const char *path, int flags, ...) {
    MODE(flags) REAL(open);
    return IS_WRITING(flags) && path_fails(path) ? -1 : real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags) REAL(open64);
    return IS_WRITING(flags) && path_fails(path) ? -1 : real(path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
    MODE(flags) REAL(openat);
    return IS_WRITING(flags) && path_fails(path) ? -1 : real(at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
    MODE(flags) REAL(openat64);
    return IS_WRITING(flags) && path_fails(path) ? -1 : real(at, path, flags, mode);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return path_fails(path) ? -1 : real(path, mode);
}
int unlink(const char *path) {
    REAL(unlink);
    return path_fails(path) ? -1 : real(path);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    return path_fails(to) ? -1 : real(from, to);
}
int link(const char *from, const char *to) {
    REAL(link);
    return path_fails(to) ? -1 : real(from, to);
}
int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    return file_fails(fd, WRITES) ? -1 : real(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    return file_fails(fd, WRITES) ? -1 : real(fd, length);
}
ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write);
    return file_fails(fd, WRITES) ? -1 : real(fd, bytes, count);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    REAL(pwrite);
    return file_fails(fd, WRITES) ? -1 : real(fd, bytes, count, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    REAL(pwrite64);
    return file_fails(fd, WRITES) ? -1 : real(fd, bytes, count, at);
}
int fsync(int fd) {
    REAL(fsync);
    return file_fails(fd, FLUSHES) ? -1 : real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    return file_fails(fd, FLUSHES) ? -1 : real(fd);
}
int clock_gettime(clockid_t which, struct timespec *time) {
    REAL(clock_gettime);
    int outcome = real(which, time);
    if (outcome == 0 && which == CLOCK_REALTIME) time->tv_sec += now->seconds;
    return outcome;
}
