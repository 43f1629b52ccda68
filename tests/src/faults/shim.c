/*
 * Fails, cuts short or kills at the N-th call by which a process writes below a folder. Loaded with LD_PRELOAD.
 *
 *   BRICK_SHIM_DIR    the folder
 *   BRICK_SHIM_ARMED  a file; calls count once it exists
 *   BRICK_SHIM_LOG    a file that each call that counts is appended to: its number, name and path
 *   BRICK_SHIM_CALL   the number of the call that is hit, from 1
 *   BRICK_SHIM_WITH   EIO, ENOSPC, SHORT (half of a write is done) or KILL
 *   BRICK_SHIM_NAME   the program that is meant; its children are not
 *
 * The count is the whole process's, whichever thread calls, which that of strace's inject is not.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int calls;

enum verdict { PASS, FAIL, SHORTEN };

/* Below the shim: these must not count themselves. */
static int raw_open(const char *path, int flags) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static enum verdict meet(const char *call, const char *path) {
    const char *name = getenv("BRICK_SHIM_NAME"), *dir = getenv("BRICK_SHIM_DIR"), *armed = getenv("BRICK_SHIM_ARMED");
    if (!name || !dir || !armed || strcmp(name, program_invocation_short_name) != 0) return PASS;
    size_t length = strlen(dir);
    if (strncmp(path, dir, length) != 0 || (path[length] != '/' && path[length] != 0)) return PASS;
    int saved = errno;
    int is_armed = syscall(SYS_faccessat, AT_FDCWD, armed, F_OK) == 0;
    errno = saved;
    if (!is_armed) return PASS;
    int number = __sync_add_and_fetch(&calls, 1);
    const char *log = getenv("BRICK_SHIM_LOG");
    if (log) {
        char line[PATH_MAX + 64];
        int bytes = snprintf(line, sizeof line, "%d %s %s\n", number, call, path[length] ? path + length + 1 : ".");
        int fd = raw_open(log, O_WRONLY | O_CREAT | O_APPEND);
        if (fd >= 0) {
            if (syscall(SYS_write, fd, line, (size_t)bytes) < 0) { /* a log that cannot be written is missed by its reader */ }
            syscall(SYS_close, fd);
        }
        errno = saved;
    }
    const char *wanted = getenv("BRICK_SHIM_CALL"), *with = getenv("BRICK_SHIM_WITH");
    if (!wanted || !with || atoi(wanted) != number) return PASS;
    if (strcmp(with, "KILL") == 0) syscall(SYS_kill, getpid(), SIGKILL);
    if (strcmp(with, "SHORT") == 0) return SHORTEN;
    errno = strcmp(with, "ENOSPC") == 0 ? ENOSPC : EIO;
    return FAIL;
}

static enum verdict meet_fd(const char *call, int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int saved = errno;
    ssize_t bytes = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = saved;
    if (bytes <= 0 || path[0] != '/') return PASS;
    path[bytes] = 0;
    return meet(call, path);
}

#define OPEN(name, call)                                                                             \
    int name(const char *path, int flags, ...) {                                                     \
        REAL(name);                                                                                  \
        mode_t mode = 0;                                                                             \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                       \
            va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest);          \
        }                                                                                            \
        if ((flags & O_CREAT) && meet(call, path) == FAIL) return -1;                                \
        return real(path, flags, mode);                                                              \
    }
OPEN(open, "open")
OPEN(open64, "open")

#define OPENAT(name)                                                                                 \
    int name(int at, const char *path, int flags, ...) {                                             \
        REAL(name);                                                                                  \
        mode_t mode = 0;                                                                             \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                       \
            va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest);          \
        }                                                                                            \
        if ((flags & O_CREAT) && meet("open", path) == FAIL) return -1;                              \
        return real(at, path, flags, mode);                                                          \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *from, size_t count) {
    REAL(write);
    enum verdict verdict = meet_fd("write", fd);
    if (verdict == FAIL) return -1;
    return real(fd, from, verdict == SHORTEN && count > 1 ? count / 2 : count);
}

ssize_t writev(int fd, const struct iovec *from, int count) {
    REAL(writev);
    if (meet_fd("write", fd) == FAIL) return -1;
    return real(fd, from, count);
}

#define PWRITE(name, type)                                                                           \
    ssize_t name(int fd, const void *from, size_t count, type at) {                                  \
        REAL(name);                                                                                  \
        enum verdict verdict = meet_fd("pwrite", fd);                                                \
        if (verdict == FAIL) return -1;                                                              \
        return real(fd, from, verdict == SHORTEN && count > 1 ? count / 2 : count, at);              \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

int fsync(int fd) { REAL(fsync); return meet_fd("fsync", fd) == FAIL ? -1 : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return meet_fd("fdatasync", fd) == FAIL ? -1 : real(fd); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); return meet_fd("ftruncate", fd) == FAIL ? -1 : real(fd, size); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); return meet_fd("ftruncate", fd) == FAIL ? -1 : real(fd, size); }
int rename(const char *from, const char *to) { REAL(rename); return meet("rename", to) == FAIL ? -1 : real(from, to); }
int link(const char *from, const char *to) { REAL(link); return meet("link", to) == FAIL ? -1 : real(from, to); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return meet("mkdir", path) == FAIL ? -1 : real(path, mode); }
int unlink(const char *path) { REAL(unlink); return meet("unlink", path) == FAIL ? -1 : real(path); }
