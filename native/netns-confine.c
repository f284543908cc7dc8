/*
 * What is given up before the program starts, so that all its threads are without it:
 *
 * - capabilities: all but CAP_NET_BIND_SERVICE, from the bounding set too, so that root cannot get them back by starting something;
 * - files: what is not named is neither read nor written (landlock(7)); descriptors that are open already are not concerned;
 * - signals to, and abstract sockets of, everybody else, where the kernel's landlock can (Linux 6.12);
 * - privileges by way of set-uid programs (PR_SET_NO_NEW_PRIVS).
 *
 * A kernel without landlock is named on standard error, and the rest is done.
 */
#include "netns-confine.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights that headers may not have yet (linux/landlock.h): version 2, 3 and 5 of its interface. */
#define RIGHT_REFER (1ULL << 13)
#define RIGHT_TRUNCATE (1ULL << 14)
#define RIGHT_IOCTL_DEVICE (1ULL << 15)
/* Version 6: no signals and no abstract sockets out of the domain. */
#define SCOPES 3

/* struct landlock_ruleset_attr, of which older headers know the first field. */
struct rules {
    uint64_t files;
    uint64_t network;
    uint64_t scoped;
};

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define SOCKET_RIGHTS (LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
/* Of those, what makes sense for something that is no folder. */
#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE)

static int complain(const char *what)
{
    fprintf(stderr, "sandbox: %s: %s\n", what, strerror(errno));
    return -1;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    const uint32_t kept = 1u << CAP_NET_BIND_SERVICE;
    if (syscall(SYS_capget, &header, data) < 0)
        return complain("capget");
    bool may_drop = data[0].effective & 1u << CAP_SETPCAP;
    for (int capability = 0; may_drop && prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
        if (capability != CAP_NET_BIND_SERVICE && prctl(PR_CAPBSET_DROP, capability) < 0)
            return complain("prctl(PR_CAPBSET_DROP)");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    data[0].permitted &= kept;
    data[0].effective = data[0].permitted;
    data[0].inheritable = 0;
    data[1].permitted = data[1].effective = data[1].inheritable = 0;
    return syscall(SYS_capset, &header, data) < 0 ? complain("capset") : 0;
}

/* Every right that this kernel's landlock can withhold. */
static uint64_t all_rights(long version)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    if (version >= 2)
        rights |= RIGHT_REFER;
    if (version >= 3)
        rights |= RIGHT_TRUNCATE;
    if (version >= 5)
        rights |= RIGHT_IOCTL_DEVICE;
    return rights;
}

/* What is not there needs no right. */
static int allow(int ruleset, const char *path, uint64_t rights)
{
    struct stat stat;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == EACCES ? 0 : complain(path);
    if (fstat(fd, &stat) == 0 && !S_ISDIR(stat.st_mode))
        rights &= FILE_RIGHTS;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    int status = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(fd);
    return status < 0 ? complain(path) : 0;
}

static const struct option OPTIONS[] = {
    {"read", required_argument, NULL, 'r'},
    {"write", required_argument, NULL, 'w'},
    {"sockets", required_argument, NULL, 's'},
    {NULL, 0, NULL, 0},
};

static int allow_all(int ruleset, int count, char **words)
{
    optind = 1;
    for (int id; (id = getopt_long(count, words, "+", OPTIONS, NULL)) != -1;) {
        uint64_t rights = READ_RIGHTS;
        if (id == 's')
            rights = SOCKET_RIGHTS;
        else if (id == 'w')
            rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
        else if (id != 'r')
            return -1;
        if (ruleset >= 0 && allow(ruleset, optarg, rights) < 0)
            return -1;
    }
    return 0;
}

/* A ruleset, or -1 with errno where there is none to be had. */
static int make_ruleset(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 0)
        return -1;
    struct rules rules = {.files = all_rights(version), .scoped = version >= 6 ? SCOPES : 0};
    /* Older kernels know less of the structure. */
    size_t size = version >= 6 ? sizeof rules : sizeof rules.files;
    return syscall(SYS_landlock_create_ruleset, &rules, size, 0);
}

static int restrict_files(int count, char **words)
{
    int ruleset = make_ruleset();
    if (ruleset < 0)
        fprintf(stderr, "WARNING: sandbox: files are not shut off, for landlock is missing: %s\n", strerror(errno));
    if (allow_all(ruleset, count, words) < 0)
        return -1;
    if (ruleset < 0)
        return 0;
    int status = syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    return status < 0 ? complain("landlock_restrict_self") : 0;
}

int run_confined(int count, char **words)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return complain("prctl(PR_SET_NO_NEW_PRIVS)") < 0;
    if (restrict_files(count, words) < 0 || optind >= count || drop_capabilities() < 0)
        return 1;
    execv(words[optind], words + optind);
    complain(words[optind]);
    return 1;
}
