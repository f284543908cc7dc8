/*
 * The socket calls of the C library, as far as libslirp makes them: ours instead of emscripten's emulation. file-calls.c has the
 * calls for files.
 *
 * Being defined here they take the place of the library's own, so that no line of libslirp has to change. Each is a thin
 * layer over host.h; what can be answered without JavaScript (options, flags, address families) is.
 */
#include "slirp.h"

#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "descriptors.h"
#include "host.h"

/* Streams are counted as they pass the rings (sbuf.h). */
static void count_datagram(int fd, bool is_from_guest, int length)
{
    struct socket *so = descriptor_socket(fd);

    if (so && length > 0) {
        struct sbuf *counted = is_from_guest ? &so->so_rcv : &so->so_snd;
        counted->sb_through += length;
    }
}

int socket(int domain, int type, int protocol)
{
    type &= ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (type == SOCK_STREAM) {
        return descriptor_new(DESCRIPTOR_STREAM, domain);
    }
    if (type != SOCK_DGRAM) {
        errno = EACCES; /* raw sockets: libslirp falls back to others */
        return -1;
    }
    bool echo = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
    int fd = descriptor_new(echo ? DESCRIPTOR_ECHO : DESCRIPTOR_DATAGRAM, domain);
    if (fd >= 0 && echo) {
        /* At once, for libslirp decides by the error whether to try something else. */
        int answer = host_open_datagram(fd, DESCRIPTOR_ECHO, domain, NULL);
        if (answer < 0) {
            close(fd);
            return descriptor_result(answer);
        }
        descriptor_get(fd)->open = true;
    }
    return fd;
}

/* UDP sockets are opened on first use: until then it is not known whether they are to be bound, and to what. */
static int open_datagram(int fd, struct descriptor *descriptor)
{
    if (descriptor->open) {
        return 0;
    }
    const struct sockaddr *local = descriptor->has_local ? (struct sockaddr *)&descriptor->local : NULL;
    int answer = host_open_datagram(fd, descriptor->kind, descriptor->family, local);
    if (answer >= 0) {
        descriptor->open = true;
    }
    return descriptor_result(answer);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    int answer = host_adopt_bound(fd);
    if (answer >= 0) {
        descriptor->open = true;
        if (descriptor->kind == DESCRIPTOR_STREAM) {
            descriptor->kind = DESCRIPTOR_LISTENER;
        }
        return 0;
    }
    /* Not a forward: the address to leave from (slirp_bind_outbound), or a reservation (sotranslate_accept). */
    if (address->sa_family == AF_UNIX || length > sizeof(descriptor->local)) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    memcpy(&descriptor->local, address, length);
    descriptor->has_local = true;
    return 0;
}

int listen(int fd, int backlog)
{
    (void)backlog; /* the host network has its own */
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    if (descriptor->kind != DESCRIPTOR_LISTENER) {
        /* Only what JavaScript has bound beforehand can listen: listening is asynchronous there (enable_emu asks for more). */
        errno = EOPNOTSUPP;
        return -1;
    }
    return 0;
}

int accept(int fd, struct sockaddr *restrict peer, socklen_t *restrict length)
{
    struct descriptor *listener = descriptor_require(fd);
    if (!listener) {
        return -1;
    }
    int accepted = descriptor_new(DESCRIPTOR_STREAM, listener->family);
    if (accepted < 0) {
        descriptor_clear_ready(fd, SLIRP_POLL_IN); /* the next connection tries again */
        return -1;
    }
    int answer = host_accept(fd, accepted, peer);
    if (answer < 0) {
        descriptor_clear_ready(fd, SLIRP_POLL_IN | SLIRP_POLL_ERR);
        close(accepted);
        return descriptor_result(answer);
    }
    descriptor_get(accepted)->open = true;
    *length = sockaddr_size((struct sockaddr_storage *)peer);
    return accepted;
}

/*
 * Never fails on the spot: libslirp has two ways to treat a failure, and the one for a failure at once frees the guest's SYN twice when
 * the error is ECONNREFUSED (tcp_input.c). So every failure is told by readiness (connecting.c).
 */
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)length;
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    const struct sockaddr *local = descriptor->has_local ? (struct sockaddr *)&descriptor->local : NULL;
    int answer = host_connect(fd, address, local);
    if (answer == -EINPROGRESS) {
        descriptor->open = true;
    } else {
        descriptor->connect_error = answer < 0 ? -answer : EIO;
        descriptor_set_ready(fd, SLIRP_POLL_OUT | SLIRP_POLL_ERR);
    }
    if (address->sa_family == AF_UNIX) {
        return 0; /* open_unix takes a unix socket to be connected at once; what is sent meanwhile waits in the ring */
    }
    errno = EINPROGRESS;
    return -1;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    (void)flags; /* urgent data goes in line: neither Node nor a relay can send it otherwise */
    if (!descriptor_require(fd)) {
        return -1;
    }
    if (length == 0) {
        return 0;
    }
    return descriptor_result(host_send(fd, bytes, length, NULL, 0));
}

ssize_t recv(int fd, void *target, size_t length, int flags)
{
    (void)flags;
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    struct sockaddr_storage source; /* echo sockets: the answer's sender is the one that was asked */
    bool is_stream = descriptor->kind == DESCRIPTOR_STREAM;
    int answer = is_stream ? host_receive(fd, target, length) :
                             host_receive_from(fd, target, length, (struct sockaddr *)&source);
    if (!is_stream) {
        count_datagram(fd, false, answer);
    }
    if (answer == -EAGAIN) {
        descriptor_clear_ready(fd, SLIRP_POLL_IN);
    } else if (answer < 0 && is_stream) {
        answer = -ECONNRESET; /* of any other error soread makes an orderly end, and what was cut off would look complete */
    }
    return descriptor_result(answer);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *address, socklen_t size)
{
    (void)flags;
    (void)size;
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor || open_datagram(fd, descriptor) < 0) {
        return -1;
    }
    int answer = host_send_to(fd, bytes, length, address);
    if (answer == -EAGAIN) {
        return length; /* a full socket loses datagrams, as a full link does; it is no error to tell the guest of */
    }
    count_datagram(fd, true, answer);
    return descriptor_result(answer);
}

ssize_t recvfrom(int fd, void *restrict target, size_t length, int flags, struct sockaddr *restrict source,
                 socklen_t *restrict size)
{
    (void)flags;
    if (!descriptor_require(fd)) {
        return -1;
    }
    int answer = host_receive_from(fd, target, length, source);
    if (answer >= 0) {
        count_datagram(fd, false, answer);
        *size = sockaddr_size((struct sockaddr_storage *)source);
    }
    return descriptor_result(answer);
}

int shutdown(int fd, int how)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    return how == SHUT_RD || !descriptor->open ? 0 : descriptor_result(host_shutdown_write(fd));
}

int getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    int answer = 0;
    if (descriptor->open) {
        answer = host_local_address(fd, address);
    } else if (descriptor->has_local) {
        memcpy(address, &descriptor->local, MIN(*length, sizeof(descriptor->local)));
    } else {
        memset(address, 0, sizeof(*address));
        address->sa_family = descriptor->family;
    }
    *length = sockaddr_size((struct sockaddr_storage *)address);
    return descriptor_result(answer);
}

/* libslirp asks only whether there is a peer; after a failure there is none. */
int getpeername(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    if (!descriptor->open) {
        errno = ENOTCONN;
        return -1;
    }
    memset(address, 0, *length);
    address->sa_family = descriptor->family;
    return 0;
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    if (level != SOL_SOCKET || name != SO_ERROR || *length < sizeof(int)) {
        errno = ENOPROTOOPT;
        return -1;
    }
    *(int *)value = descriptor_take_error(fd);
    return 0;
}

/* TTL, reuse, no delay: what matters of them the host network sets by itself. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    (void)level, (void)name, (void)value, (void)length;
    return descriptor_require(fd) ? 0 : -1;
}

int ioctl(int fd, int request, ...)
{
    struct descriptor *descriptor = descriptor_require(fd);
    if (!descriptor) {
        return -1;
    }
    if (request != FIONREAD) {
        errno = ENOTTY;
        return -1;
    }
    va_list arguments;
    va_start(arguments, request);
    int *length = va_arg(arguments, int *);
    va_end(arguments);
    int answer = descriptor->open ? host_next_length(fd) : -EAGAIN;
    /* An error that waits is told by recvfrom; here it only means that nothing needs room. */
    *length = MAX(answer, 0);
    return 0;
}

int fcntl(int fd, int command, ...)
{
    (void)command; /* everything is non-blocking and nothing is inherited */
    return descriptor_require(fd) ? 0 : -1;
}

/* libslirp wants numbers for its debug messages, never names. */
int getnameinfo(const struct sockaddr *restrict address, socklen_t length, char *restrict host, socklen_t host_size,
                char *restrict service, socklen_t service_size, int flags)
{
    (void)length, (void)flags;
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    const void *bytes = address->sa_family == AF_INET ? (void *)&in->sin_addr : (void *)&in6->sin6_addr;
    inet_ntop(address->sa_family, bytes, host, host_size);
    snprintf(service, service_size, "%d", ntohs(in->sin_port));
    return 0;
}
