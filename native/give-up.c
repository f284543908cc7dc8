/*
 * The filter is a list of what is allowed: the calls of an event loop with sockets, files opened for reading, memory, time, and threads, for
 * Node starts some late. What it keeps out is all that makes another program or process, writes files, or changes the system. Calls whose
 * arguments matter are decided by these: `openat` by its flags, `clone` by whether it makes a thread, `kill` by whom it is for.
 *
 * clone3 keeps its flags in memory, where a filter cannot look: it is "not there" (ENOSYS), and the C library uses clone.
 */
#include "give-up.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "throw.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* The older calls, which newer architectures have no more, stand beside those that took their place. */
static const int ALLOWED[] = {
    /* Sockets and descriptors. */
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_close, SYS_lseek, SYS_ioctl, SYS_fcntl, SYS_dup, SYS_dup3,
    SYS_socket, SYS_socketpair, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_connect, SYS_shutdown, SYS_sendto,
    SYS_sendmsg, SYS_sendmmsg, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_getsockname, SYS_getpeername, SYS_setsockopt,
    SYS_getsockopt, SYS_pipe2, SYS_eventfd2,
    /* Waiting. */
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_ppoll, SYS_nanosleep, SYS_clock_nanosleep, SYS_futex,
    SYS_restart_syscall, SYS_sched_yield,
    /* Files, to be read. The API's socket is removed at the end. */
    SYS_fstat, SYS_newfstatat, SYS_statx, SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_unlinkat, SYS_faccessat,
    SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
    /* Memory. */
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_membarrier, SYS_mincore,
    /* Time, and what one is. */
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid,
    SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo, SYS_getrusage, SYS_sched_getaffinity, SYS_getcpu, SYS_times,
    /* Threads and signals. */
    SYS_set_robust_list, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_exit, SYS_exit_group,
#ifdef SYS_pkey_mprotect
    SYS_pkey_mprotect, SYS_pkey_alloc, SYS_pkey_free,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef SYS_faccessat2
    SYS_faccessat2,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_epoll_wait
    SYS_epoll_wait, SYS_poll, SYS_stat, SYS_lstat, SYS_readlink, SYS_unlink, SYS_access, SYS_pipe, SYS_dup2, SYS_time,
#endif
};

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define NUMBER offsetof(struct seccomp_data, nr)
/* The lower half of an argument, on little-endian machines. */
#define ARGUMENT(i) (offsetof(struct seccomp_data, args) + 8 * (i))
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define IF_ANY(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, yes, no)
#define REFUSE ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)

#define MAX_INSTRUCTIONS 320

struct program {
    struct sock_filter code[MAX_INSTRUCTIONS];
    unsigned short length;
};

static void append(struct program *program, const struct sock_filter *code, size_t count)
{
    for (size_t i = 0; i < count && program->length < MAX_INSTRUCTIONS; i++)
        program->code[program->length++] = code[i];
}

#define APPEND(program, ...)                                                      \
    do {                                                                          \
        const struct sock_filter code[] = {__VA_ARGS__};                          \
        append(program, code, sizeof code / sizeof *code);                        \
    } while (0)

#ifdef ARCHITECTURE
static void write_filter(struct program *program)
{
    const uint32_t pid = (uint32_t)getpid();
    const uint32_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    APPEND(program, LOAD(offsetof(struct seccomp_data, arch)), IF_EQUAL(ARCHITECTURE, 1, 0), REFUSE, LOAD(NUMBER));
    for (size_t i = 0; i < sizeof ALLOWED / sizeof *ALLOWED; i++)
        APPEND(program, IF_EQUAL((uint32_t)ALLOWED[i], 0, 1), ALLOW);
#define BY_ARGUMENT(call, i, ...) APPEND(program, IF_EQUAL(call, 0, 4), LOAD(ARGUMENT(i)), __VA_ARGS__)
    BY_ARGUMENT(SYS_openat, 2, IF_ANY(writing, 1, 0), ALLOW, REFUSE);
#ifdef SYS_open
    BY_ARGUMENT(SYS_open, 1, IF_ANY(writing, 1, 0), ALLOW, REFUSE);
#endif
    BY_ARGUMENT(SYS_clone, 0, IF_ANY(CLONE_THREAD, 0, 1), ALLOW, REFUSE);
    BY_ARGUMENT(SYS_kill, 0, IF_EQUAL(pid, 0, 1), ALLOW, REFUSE);
    BY_ARGUMENT(SYS_tgkill, 0, IF_EQUAL(pid, 0, 1), ALLOW, REFUSE);
    BY_ARGUMENT(SYS_prctl, 0, IF_EQUAL(PR_SET_NAME, 0, 1), ALLOW, REFUSE);
    /* Limits are looked at, not set. */
    BY_ARGUMENT(SYS_prlimit64, 2, IF_EQUAL(0, 0, 1), ALLOW, REFUSE);
#ifdef SYS_clone3
    APPEND(program, IF_EQUAL(SYS_clone3, 0, 1), ANSWER(SECCOMP_RET_ERRNO | ENOSYS));
#endif
    APPEND(program, REFUSE);
}
#endif

napi_value allow_only_networking(napi_env env, napi_callback_info info)
{
    (void)info;
#ifdef ARCHITECTURE
    struct program program = {.length = 0};
    write_filter(&program);
    struct sock_fprog filter = {program.length, program.code};
    if (program.length == MAX_INSTRUCTIONS)
        return throw_errno(env, E2BIG, "seccomp");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return throw_errno(env, errno, "prctl");
    long status = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    /* Positive: the thread that has a filter of its own. */
    if (status != 0)
        return throw_errno(env, status < 0 ? errno : EBUSY, "seccomp");
    return make_int32(env, 0);
#else
    return throw_errno(env, ENOTSUP, "seccomp");
#endif
}

#define MAX_WORD_BYTES 8192

/* A copy that is never freed: the process ends, or goes on as another program. */
static char *copy_text(napi_env env, napi_value value)
{
    char *text = malloc(MAX_WORD_BYTES);
    if (text == NULL) {
        throw_errno(env, ENOMEM, "malloc");
        return NULL;
    }
    if (read_text(env, value, text, MAX_WORD_BYTES))
        return text;
    free(text);
    return NULL;
}

static char **copy_words(napi_env env, napi_value array)
{
    uint32_t count;
    napi_value word;
    if (napi_get_array_length(env, array, &count) != napi_ok) {
        throw_type(env, "the arguments are no array");
        return NULL;
    }
    char **words = calloc(count + 1, sizeof *words);
    for (uint32_t i = 0; words != NULL && i < count; i++) {
        if (napi_get_element(env, array, i, &word) != napi_ok || (words[i] = copy_text(env, word)) == NULL)
            return NULL;
    }
    return words;
}

static bool keep_descriptors(napi_env env, napi_value array)
{
    uint32_t count;
    napi_value element;
    int32_t fd;
    if (napi_get_array_length(env, array, &count) != napi_ok) {
        throw_type(env, "the descriptors are no array");
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (napi_get_element(env, array, i, &element) != napi_ok || !read_int32(env, element, &fd))
            return false;
        if (fcntl(fd, F_SETFD, 0) < 0) {
            throw_errno(env, errno, "fcntl");
            return false;
        }
    }
    return true;
}

napi_value replace_process(napi_env env, napi_callback_info info)
{
    extern char **environ;
    napi_value arguments[3];
    if (!read_arguments(env, info, 3, arguments, NULL))
        return NULL;
    char *path = copy_text(env, arguments[0]);
    char **words = path == NULL ? NULL : copy_words(env, arguments[1]);
    if (words == NULL || !keep_descriptors(env, arguments[2]))
        return NULL;
    execve(path, words, environ);
    return throw_errno(env, errno, "execve");
}
