/*
 * The program behind `slirp-wasm netns`: makes a TAP in somebody else's network namespace and hands its descriptor over.
 *
 * A process with threads, as Node is, may not join a user namespace (setns(2): EINVAL). So this one does it: joins the user namespace
 * where it is told one, then the network namespace, opens the TAP, brings it up where that is asked for, and sends the descriptor over a
 * unix socket (SCM_RIGHTS). Nothing of it stays: the interface lives as long as the descriptor. In the same way it gets the connection of
 * a User Mode Linux, whose sockets (SOCK_SEQPACKET) Node does not know.
 *
 *     netns-helper open SOCKET-FD --netns=PATH [--userns=PATH] --name=NAME [--vnet-header] [--configure …]
 *     netns-helper accept SOCKET-FD PATH
 *     netns-helper confine … -- PROGRAM ARGUMENT…
 *
 * What fails is one line on standard error and exit status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "netns-configure.h"
#include "netns-confine.h"

struct request {
    int socket_fd;
    const char *netns;
    const char *userns;
    const char *name;
    bool has_header;
    bool configure;
    struct link_settings link;
};

static int complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return -1;
}

static int open_namespace(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? complain(path) : fd;
}

/* A namespace that one is in already cannot be joined (EINVAL), and need not be. */
static bool is_own_user_namespace(int fd)
{
    struct stat own, other;
    return stat("/proc/self/ns/user", &own) == 0 && fstat(fd, &other) == 0 && own.st_dev == other.st_dev &&
           own.st_ino == other.st_ino;
}

/* Both are opened first: in the user namespace the paths may be closed to us. */
static int join_namespaces(const struct request *request)
{
    int user_fd = -1, net_fd = open_namespace(request->netns);
    if (net_fd < 0)
        return -1;
    if (request->userns != NULL) {
        user_fd = open_namespace(request->userns);
        if (user_fd < 0)
            return -1;
        if (!is_own_user_namespace(user_fd) && setns(user_fd, CLONE_NEWUSER) < 0)
            return complain("setns(CLONE_NEWUSER)");
        close(user_fd);
    }
    if (setns(net_fd, CLONE_NEWNET) < 0)
        return complain("setns(CLONE_NEWNET)");
    close(net_fd);
    return 0;
}

static int open_tap(const char *name, bool has_header)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    if (has_header)
        request.ifr_flags |= IFF_VNET_HDR;
    if (strlen(name) >= sizeof request.ifr_name) {
        fprintf(stderr, "the interface name \"%s\" is longer than %zu bytes\n", name, sizeof request.ifr_name - 1);
        return -1;
    }
    strcpy(request.ifr_name, name);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return complain("open(\"/dev/net/tun\")");
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return complain("ioctl(TUNSETIFF)");
    return fd;
}

static int send_descriptor(int socket_fd, int fd)
{
    char byte = 0;
    struct iovec piece = {&byte, 1};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {{0}};
    struct msghdr message = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL) == 1 ? 0 : complain("sendmsg(SCM_RIGHTS)");
}

static int open_and_send(const struct request *request)
{
    if (join_namespaces(request) < 0)
        return -1;
    int fd = open_tap(request->name, request->has_header);
    if (fd < 0 || (request->configure && configure_link(request->name, &request->link) < 0))
        return -1;
    return send_descriptor(request->socket_fd, fd);
}

static const char *listening_at;

/* Who ends the wait finds no socket that nobody listens at. */
static void end_waiting(int signal)
{
    (void)signal;
    if (listening_at != NULL)
        unlink(listening_at);
    _exit(1);
}

/* A terminal sends its signals to us as well as to who asked. */
static void await_end(void)
{
    const struct sigaction action = {.sa_handler = end_waiting};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* The first that connects at a path; a socket that is there already is replaced. */
static int accept_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "the path \"%s\" is longer than %zu bytes\n", path, sizeof address.sun_path - 1);
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return complain("socket(SOCK_SEQPACKET)");
    struct stat stat;
    if (lstat(path, &stat) == 0 && S_ISSOCK(stat.st_mode))
        unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return complain(path);
    listening_at = path;
    if (listen(fd, 1) < 0)
        return complain(path);
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        return complain("accept");
    listening_at = NULL;
    unlink(path);
    return connection;
}

/* Waits for as long as it takes, but not longer than who asked lives. */
static int accept_and_send(int socket_fd, const char *path)
{
    const pid_t parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        return -1;
    await_end();
    int fd = accept_at(path);
    return fd < 0 ? -1 : send_descriptor(socket_fd, fd);
}

enum option_id { NETNS = 1, USERNS, NAME, VNET_HEADER, CONFIGURE, ADDRESS, GATEWAY, ADDRESS6, GATEWAY6, MTU, MAC };

static const struct option OPTIONS[] = {
    {"netns", required_argument, NULL, NETNS},
    {"userns", required_argument, NULL, USERNS},
    {"name", required_argument, NULL, NAME},
    {"vnet-header", no_argument, NULL, VNET_HEADER},
    {"configure", no_argument, NULL, CONFIGURE},
    {"address", required_argument, NULL, ADDRESS},
    {"gateway", required_argument, NULL, GATEWAY},
    {"address6", required_argument, NULL, ADDRESS6},
    {"gateway6", required_argument, NULL, GATEWAY6},
    {"mtu", required_argument, NULL, MTU},
    {"mac", required_argument, NULL, MAC},
    {NULL, 0, NULL, 0},
};

static int read_request(int count, char **words, struct request *request)
{
    struct link_settings *link = &request->link;
    for (int id; (id = getopt_long(count, words, "+", OPTIONS, NULL)) != -1;) {
        switch (id) {
        case NETNS: request->netns = optarg; break;
        case USERNS: request->userns = optarg; break;
        case NAME: request->name = optarg; break;
        case VNET_HEADER: request->has_header = true; break;
        case CONFIGURE: request->configure = true; break;
        case ADDRESS: link->address = optarg; break;
        case GATEWAY: link->gateway = optarg; break;
        case ADDRESS6: link->address6 = optarg; break;
        case GATEWAY6: link->gateway6 = optarg; break;
        case MTU: link->mtu = atoi(optarg); break;
        case MAC: link->mac = optarg; break;
        default: return -1;
        }
    }
    if (optind + 1 != count || request->netns == NULL || request->name == NULL)
        return -1;
    request->socket_fd = atoi(words[optind]);
    return 0;
}

int main(int count, char **words)
{
    const char *command = count > 1 ? words[1] : "";
    if (strcmp(command, "confine") == 0)
        return run_confined(count - 1, words + 1);
    if (strcmp(command, "accept") == 0 && count == 4)
        return accept_and_send(atoi(words[2]), words[3]) < 0;
    struct request request = {0};
    if (strcmp(command, "open") == 0 && read_request(count - 1, words + 1, &request) == 0)
        return open_and_send(&request) < 0;
    fputs("netns-helper: it is run by `slirp-wasm netns`, and its arguments are that program's to know\n", stderr);
    return 2;
}
