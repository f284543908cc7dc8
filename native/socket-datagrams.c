#include "socket-datagrams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* Behind <netinet/in.h>, which socket-datagrams.h has included. */
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/sock_diag.h>

#include "socket-calls.h"

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

/*
 * What the kernel keeps of a socket before it is read, as far as it lets us (net.core.rmem_max): its own 208 KiB are full of small
 * datagrams in 5 ms at 20,000 a second, and a turn of the event loop may last longer. The kernel doubles it for its own needs.
 */
#define RECEIVE_BYTES (1024 * 1024 / 2)

/* Errors that are taken from a socket before somebody else has his turn. */
#define MAX_ERRORS 64

static void ask_for_errors(int fd, int family)
{
    set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
}

napi_value open_datagram(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    union socket_address local;
    bool ipv6_only;
    struct poller *poller = enter_poller(env, info, 2, arguments);
    if (poller == NULL || !read_address(env, arguments[0], &local) || !read_bool(env, arguments[1], &ipv6_only))
        return NULL;
    int family = local.any.sa_family;
    int fd = socket(family, SOCK_DGRAM | TYPE_FLAGS, 0);
    if (fd < 0)
        return make_error(env, errno);
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, ipv6_only);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);
    ask_for_errors(fd, family);
    if (bind(fd, &local.any, address_length(&local)) < 0) {
        int error = errno;
        close(fd);
        return make_error(env, error);
    }
    return make_int32(env, add_socket(poller, fd, SOCKET_DATAGRAM));
}

napi_value open_echo(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    int32_t family;
    struct poller *poller = enter_poller(env, info, 1, arguments);
    if (poller == NULL || !read_int32(env, arguments[0], &family))
        return NULL;
    int domain = family == 6 ? AF_INET6 : AF_INET;
    int fd = socket(domain, SOCK_DGRAM | TYPE_FLAGS, family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    if (fd < 0)
        return make_error(env, errno == EACCES ? EPERM : errno);
    ask_for_errors(fd, domain);
    return make_int32(env, add_socket(poller, fd, SOCKET_ECHO));
}

/* Whether an error is about the datagram that was sent last; echo has no ports. */
static bool is_about_last(const struct socket_slot *slot, const union socket_address *target)
{
    if (target->any.sa_family != slot->last_remote.any.sa_family)
        return false;
    bool any_port = slot->kind == SOCKET_ECHO;
    if (target->any.sa_family == AF_INET)
        return target->v4.sin_addr.s_addr == slot->last_remote.v4.sin_addr.s_addr &&
               (any_port || target->v4.sin_port == slot->last_remote.v4.sin_port);
    return memcmp(&target->v6.sin6_addr, &slot->last_remote.v6.sin6_addr, sizeof target->v6.sin6_addr) == 0 &&
           (any_port || target->v6.sin6_port == slot->last_remote.v6.sin6_port);
}

static bool says_unreachable(const struct sock_extended_err *error)
{
    return (error->ee_origin == SO_EE_ORIGIN_ICMP && error->ee_type == ICMP_DEST_UNREACH &&
            error->ee_code != ICMP_FRAG_NEEDED) ||
           (error->ee_origin == SO_EE_ORIGIN_ICMP6 && error->ee_type == ICMPV6_DEST_UNREACH);
}

/* Looks at one message of the queue of errors: where it comes from (SO_EE_ORIGIN_…), or -1 where there is none. */
static int take_queued_error(struct socket_slot *slot)
{
    int origin = SO_EE_ORIGIN_NONE;
    union socket_address target = {0};
    union {
        char bytes[512];
        struct cmsghdr aligned;
    } control;
    struct msghdr message = {
        .msg_name = &target,
        .msg_namelen = sizeof target,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    if (recvmsg(slot->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return -1;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
        bool is_error = (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
                        (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);
        struct sock_extended_err error;
        if (!is_error || part->cmsg_len < CMSG_LEN(sizeof error))
            continue;
        memcpy(&error, CMSG_DATA(part), sizeof error);
        origin = error.ee_origin;
        if (says_unreachable(&error) && is_about_last(slot, &target))
            slot->pending_error = (int)error.ee_errno;
    }
    return origin;
}

/* Takes all of them: whether there was one that came over the network. */
static bool take_queued_errors(struct socket_slot *slot)
{
    bool any = false;
    for (int i = 0, origin; i < MAX_ERRORS && (origin = take_queued_error(slot)) >= 0; i++)
        any |= origin == SO_EE_ORIGIN_ICMP || origin == SO_EE_ORIGIN_ICMP6;
    return any;
}

bool keeps_error(struct socket_slot *slot, bool may_have_more)
{
    if (slot->kind != SOCKET_DATAGRAM && slot->kind != SOCKET_ECHO)
        return may_have_more;
    if (may_have_more)
        take_queued_errors(slot);
    return slot->pending_error != 0;
}

int take_kept_error(struct socket_slot *slot)
{
    int error = slot->pending_error;
    slot->pending_error = 0;
    return error;
}

/*
 * A call has failed: whether by an error that waited on the socket. Such a one is told by whatever call comes next, and is over by that;
 * it is about another datagram, and the call is to be made again. Leaves errno as it is.
 */
static bool was_of_another(struct socket_slot *slot)
{
    int error = errno;
    bool again = error == EINTR || (error != EAGAIN && take_queued_errors(slot));
    errno = error;
    return again;
}

napi_value send_to(napi_env env, napi_callback_info info)
{
    napi_value arguments[3];
    struct socket_slot *slot;
    struct view bytes;
    union socket_address remote;
    if (enter_socket(env, info, 3, arguments, &slot) == NULL || !read_bytes(env, arguments[1], &bytes) ||
        !read_address(env, arguments[2], &remote))
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    /* First, so that an error about the one before is not taken for one about this. */
    memcpy(&slot->last_remote, &remote, sizeof slot->last_remote);
    ssize_t sent = -1;
    for (int i = 0; i < MAX_ERRORS; i++) {
        sent = sendto(slot->fd, bytes.data, bytes.length, MSG_NOSIGNAL, &remote.any, address_length(&remote));
        if (sent >= 0 || !was_of_another(slot))
            break;
    }
    return sent < 0 ? make_error(env, errno) : make_int32(env, (int32_t)sent);
}

/* The next datagram into `bytes`: its length, which may be more than there is room for, or -1 with errno. */
static ssize_t take_datagram(struct socket_slot *slot, void *bytes, size_t size, int flags, union socket_address *source)
{
    struct iovec piece = {bytes, size};
    for (int i = 0; i < MAX_ERRORS; i++) {
        struct msghdr message = {
            .msg_name = source,
            .msg_namelen = sizeof *source,
            .msg_iov = &piece,
            .msg_iovlen = 1,
        };
        ssize_t length = recvmsg(slot->fd, &message, flags | MSG_DONTWAIT | MSG_TRUNC);
        if (length >= 0 || !was_of_another(slot))
            return length;
        if (slot->pending_error != 0) {
            errno = take_kept_error(slot);
            return -1;
        }
    }
    errno = EAGAIN;
    return -1;
}

/* Takes the next datagram out of the kernel, so that fetching it is no second system call. */
static ssize_t stage_datagram(struct poller *poller, struct socket_slot *slot)
{
    struct staged_datagram *staged = poller->staged;
    union socket_address source;
    if (staged == NULL) {
        poller->staged = staged = malloc(sizeof *staged);
        if (staged == NULL) {
            errno = ENOMEM;
            return -1;
        }
        staged->id = 0;
    }
    /* Another socket's owner has asked, and not fetched: his datagram stays. */
    if (staged->id != 0)
        return take_datagram(slot, NULL, 0, MSG_PEEK, &source);
    ssize_t length = take_datagram(slot, staged->bytes, sizeof staged->bytes, 0, &staged->source);
    if (length >= 0) {
        staged->id = slot->id;
        staged->length = (size_t)length;
    }
    return length;
}

napi_value next_length(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct socket_slot *slot;
    struct poller *poller = enter_socket(env, info, 1, arguments, &slot);
    if (poller == NULL)
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    if (slot->pending_error != 0)
        return make_error(env, take_kept_error(slot));
    if (poller->staged != NULL && poller->staged->id == slot->id)
        return make_int32(env, (int32_t)poller->staged->length);
    ssize_t length = stage_datagram(poller, slot);
    return length < 0 ? make_error(env, errno) : make_int32(env, (int32_t)length);
}

napi_value receive_from(napi_env env, napi_callback_info info)
{
    napi_value arguments[3];
    struct socket_slot *slot;
    struct view target;
    uint8_t *source_bytes;
    union socket_address source = {0};
    struct poller *poller = enter_socket(env, info, 3, arguments, &slot);
    if (poller == NULL || !read_bytes(env, arguments[1], &target) ||
        !read_address_array(env, arguments[2], &source_bytes))
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    if (slot->pending_error != 0)
        return make_error(env, take_kept_error(slot));
    struct staged_datagram *staged = poller->staged;
    size_t length;
    if (staged != NULL && staged->id == slot->id) {
        length = staged->length < target.length ? staged->length : target.length;
        if (length > 0)
            memcpy(target.data, staged->bytes, length);
        encode_address(&staged->source, source_bytes);
        staged->id = 0;
    } else {
        ssize_t got = take_datagram(slot, target.data, target.length, 0, &source);
        if (got < 0)
            return make_error(env, errno);
        length = (size_t)got < target.length ? (size_t)got : target.length;
        encode_address(&source, source_bytes);
    }
    return make_int32(env, (int32_t)length);
}

napi_value count_dropped(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct socket_slot *slot;
    uint32_t counts[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof counts;
    if (enter_socket(env, info, 1, arguments, &slot) == NULL)
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    if (getsockopt(slot->fd, SOL_SOCKET, SO_MEMINFO, counts, &length) < 0)
        return make_error(env, errno);
    return make_int32(env, (int32_t)(counts[SK_MEMINFO_DROPS] & INT32_MAX));
}
