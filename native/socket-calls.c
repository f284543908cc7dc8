#include "socket-calls.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/sockios.h>

#include "socket-datagrams.h"

/* Connections that wait in the kernel; what is more than the system allows is cut by the system. */
#define BACKLOG 511

/*
 * Bytes of a stream that the kernel takes beyond those that the network has room for (TCP_NOTSENT_LOWAT, tcp(7)). More would not make it
 * faster and would be sent long after it was written.
 */
#define UNSENT_BYTES (128 * 1024)

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

struct poller *enter_poller(napi_env env, napi_callback_info info, size_t count, napi_value *arguments)
{
    size_t given = count;
    void *data = NULL;
    if (napi_get_cb_info(env, info, &given, arguments, NULL, &data) != napi_ok)
        return NULL;
    if (given >= count)
        return data;
    throw_type(env, "too few arguments");
    return NULL;
}

struct poller *enter_socket(napi_env env, napi_callback_info info, size_t count, napi_value *arguments,
                            struct socket_slot **slot)
{
    int32_t id;
    struct poller *poller = enter_poller(env, info, count, arguments);
    if (poller == NULL || !read_int32(env, arguments[0], &id))
        return NULL;
    *slot = find_socket(poller, id);
    return poller;
}

bool read_bytes(napi_env env, napi_value value, struct view *view)
{
    if (view_of(env, value, napi_uint8_array, view))
        return true;
    throw_type(env, "a Uint8Array is expected");
    return false;
}

bool read_address_array(napi_env env, napi_value value, uint8_t **bytes)
{
    struct view view;
    if (!read_bytes(env, value, &view))
        return false;
    *bytes = view.data;
    if (view.length >= ADDRESS_BYTES)
        return true;
    throw_type(env, "an address needs 24 bytes");
    return false;
}

bool read_address(napi_env env, napi_value value, union socket_address *address)
{
    uint8_t *bytes;
    if (!read_address_array(env, value, &bytes))
        return false;
    if (decode_address(bytes, address))
        return true;
    throw_type(env, "an address is of family 4 or 6");
    return false;
}

napi_value make_error(napi_env env, int error)
{
    return make_int32(env, answer_of(error));
}

/* The path of a unix socket: a text that fits, with its closing zero. */
static bool read_path(napi_env env, napi_value value, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    return read_text(env, value, address->sun_path, sizeof address->sun_path);
}

int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

/* What every TCP socket has, and what comes of a listener inherits. */
static void prepare_tcp(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
    /* Urgent data stands where it was sent; else its byte would be missing. */
    set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

static napi_value add_or_fail(napi_env env, struct poller *poller, int fd, enum socket_kind kind, int status)
{
    if (status == 0 || errno == EINPROGRESS)
        return make_int32(env, add_socket(poller, fd, kind));
    int error = errno;
    close(fd);
    return make_error(env, error);
}

/* connect(remote, local): `local` is undefined, or where to leave from. It is watched once it connects: before, it is "hung up". */
static napi_value connect_tcp(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    napi_valuetype local_type;
    union socket_address remote, local;
    struct poller *poller = enter_poller(env, info, 2, arguments);
    if (poller == NULL || !read_address(env, arguments[0], &remote) ||
        napi_typeof(env, arguments[1], &local_type) != napi_ok)
        return NULL;
    bool has_local = local_type != napi_undefined;
    if (has_local && !read_address(env, arguments[1], &local))
        return NULL;
    int fd = socket(remote.any.sa_family, SOCK_STREAM | TYPE_FLAGS, 0);
    if (fd < 0)
        return make_error(env, errno);
    prepare_tcp(fd);
    int status = has_local ? bind(fd, &local.any, address_length(&local)) : 0;
    if (status == 0)
        status = connect(fd, &remote.any, address_length(&remote));
    return add_or_fail(env, poller, fd, SOCKET_TCP, status);
}

/* connectUnix(path). */
static napi_value connect_unix(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct sockaddr_un remote;
    struct poller *poller = enter_poller(env, info, 1, arguments);
    if (poller == NULL || !read_path(env, arguments[0], &remote))
        return NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | TYPE_FLAGS, 0);
    if (fd < 0)
        return make_error(env, errno);
    return add_or_fail(env, poller, fd, SOCKET_UNIX, connect(fd, (struct sockaddr *)&remote, sizeof remote));
}

/* listen(local, ipv6Only). */
static napi_value listen_tcp(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    union socket_address local;
    bool ipv6_only;
    struct poller *poller = enter_poller(env, info, 2, arguments);
    if (poller == NULL || !read_address(env, arguments[0], &local) || !read_bool(env, arguments[1], &ipv6_only))
        return NULL;
    int fd = socket(local.any.sa_family, SOCK_STREAM | TYPE_FLAGS, 0);
    if (fd < 0)
        return make_error(env, errno);
    /* An address whose last connections are still waiting for TIME_WAIT to pass may be taken. */
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (local.any.sa_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, ipv6_only);
    prepare_tcp(fd);
    int status = bind(fd, &local.any, address_length(&local));
    if (status == 0)
        status = listen(fd, BACKLOG);
    return add_or_fail(env, poller, fd, SOCKET_LISTENER, status);
}

/* listenUnix(path): makes the path; who closes the socket removes it. */
static napi_value listen_unix(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct sockaddr_un local;
    struct poller *poller = enter_poller(env, info, 1, arguments);
    if (poller == NULL || !read_path(env, arguments[0], &local))
        return NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | TYPE_FLAGS, 0);
    if (fd < 0)
        return make_error(env, errno);
    int status = bind(fd, (struct sockaddr *)&local, sizeof local);
    if (status == 0)
        status = listen(fd, BACKLOG);
    return add_or_fail(env, poller, fd, SOCKET_LISTENER, status);
}

/* accept(id, source): the next connection, and where it comes from. */
static napi_value accept_stream(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    struct socket_slot *slot;
    union socket_address source = {0};
    socklen_t length = sizeof source;
    uint8_t *bytes;
    struct poller *poller = enter_socket(env, info, 2, arguments, &slot);
    if (poller == NULL || !read_address_array(env, arguments[1], &bytes))
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    int fd;
    do
        fd = accept4(slot->fd, &source.any, &length, TYPE_FLAGS);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0)
        return make_error(env, errno);
    encode_address(&source, bytes);
    return make_int32(env, add_socket(poller, fd, source.any.sa_family == AF_UNIX ? SOCKET_UNIX : SOCKET_TCP));
}

/* send(id, first, second): `second` is undefined, or what stands behind `first`. */
static napi_value send_stream(napi_env env, napi_callback_info info)
{
    napi_value arguments[3];
    struct socket_slot *slot;
    struct view pieces[2];
    napi_valuetype second_type;
    if (enter_socket(env, info, 3, arguments, &slot) == NULL || !read_bytes(env, arguments[1], &pieces[0]) ||
        napi_typeof(env, arguments[2], &second_type) != napi_ok)
        return NULL;
    bool has_second = second_type != napi_undefined;
    if (has_second && !read_bytes(env, arguments[2], &pieces[1]))
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    ssize_t sent;
    if (has_second) {
        struct iovec vector[2] = {{pieces[0].data, pieces[0].length}, {pieces[1].data, pieces[1].length}};
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};
        do
            sent = sendmsg(slot->fd, &message, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
    } else {
        do
            sent = send(slot->fd, pieces[0].data, pieces[0].length, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
    }
    return sent < 0 ? make_error(env, errno) : make_int32(env, (int32_t)sent);
}

/* A unix stream answers less than there is where descriptors were sent along: what follows is read, too. */
static bool has_more(const struct socket_slot *slot)
{
    int waiting = 0;
    return slot->kind == SOCKET_UNIX && ioctl(slot->fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

/* receive(id, target). A count smaller than the target says that nothing more is there. */
static napi_value receive_stream(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    struct socket_slot *slot;
    struct view target;
    if (enter_socket(env, info, 2, arguments, &slot) == NULL || !read_bytes(env, arguments[1], &target))
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    size_t received = 0;
    do {
        ssize_t got = recv(slot->fd, (uint8_t *)target.data + received, target.length - received, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && received == 0)
            return make_error(env, errno);
        if (got <= 0)
            break;
        received += (size_t)got;
    } while (received < target.length && has_more(slot));
    return make_int32(env, (int32_t)received);
}

/* shutdownWrite(id). */
static napi_value shutdown_write(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct socket_slot *slot;
    if (enter_socket(env, info, 1, arguments, &slot) == NULL)
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    return shutdown(slot->fd, SHUT_WR) < 0 ? make_error(env, errno) : make_int32(env, 0);
}

/*
 * Bytes for which a TCP stream must not be closed yet, or 0. The kernel throws away what is to be sent where something received was not read,
 * or where the other side sends more: so nothing may be left that is not even on its way (`SIOCOUTQNSD`), and with `all`, or something
 * unread, nothing that is not acknowledged.
 */
static int owed_bytes(int fd, bool all)
{
    int unread = 0, unsent = 0, unacknowledged = 0;
    if (ioctl(fd, SIOCOUTQNSD, &unsent) < 0 || (!all && ioctl(fd, SIOCINQ, &unread) < 0))
        return 0;
    if (unsent == 0 && !all && unread == 0)
        return 0;
    return ioctl(fd, SIOCOUTQ, &unacknowledged) < 0 ? 0 : unacknowledged;
}

/* finish(id, all): closes a stream, and answers 0; or leaves it open for so many bytes that would be lost by that. */
static napi_value finish_stream(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    struct socket_slot *slot;
    bool all;
    struct poller *poller = enter_socket(env, info, 2, arguments, &slot);
    if (poller == NULL || !read_bool(env, arguments[1], &all))
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    int owed = slot->kind == SOCKET_TCP ? owed_bytes(slot->fd, all) : 0;
    if (owed == 0)
        remove_socket(poller, slot);
    return make_int32(env, owed);
}

/* close(id): of any socket, without further ado. */
static napi_value close_socket(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct socket_slot *slot;
    struct poller *poller = enter_socket(env, info, 1, arguments, &slot);
    if (poller == NULL)
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    remove_socket(poller, slot);
    return make_int32(env, 0);
}

/* reset(id): the other side of a TCP stream sees RST; a unix socket has none. */
static napi_value reset_stream(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct socket_slot *slot;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    struct poller *poller = enter_socket(env, info, 1, arguments, &slot);
    if (poller == NULL)
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    setsockopt(slot->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    remove_socket(poller, slot);
    return make_int32(env, 0);
}

/* takeError(id): SO_ERROR, as a negative answer, or 0. */
static napi_value take_error(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct socket_slot *slot;
    int error = 0;
    socklen_t length = sizeof error;
    if (enter_socket(env, info, 1, arguments, &slot) == NULL)
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    error = take_kept_error(slot);
    if (error == 0 && getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        error = errno;
    return error == 0 ? make_int32(env, 0) : make_error(env, error);
}

/* localAddress(id, address): getsockname. */
static napi_value local_address(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    struct socket_slot *slot;
    union socket_address address = {0};
    socklen_t length = sizeof address;
    uint8_t *bytes;
    if (enter_socket(env, info, 2, arguments, &slot) == NULL || !read_address_array(env, arguments[1], &bytes))
        return NULL;
    if (slot == NULL)
        return make_error(env, EBADF);
    if (getsockname(slot->fd, &address.any, &length) < 0)
        return make_error(env, errno);
    encode_address(&address, bytes);
    return make_int32(env, 0);
}

/* setReferenced(on): whether the poller keeps the process alive. */
static napi_value set_referenced(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    bool on;
    struct poller *poller = enter_poller(env, info, 1, arguments);
    if (poller == NULL || !read_bool(env, arguments[0], &on))
        return NULL;
    if (!poller->closed && on)
        uv_ref((uv_handle_t *)&poller->poll);
    else if (!poller->closed)
        uv_unref((uv_handle_t *)&poller->poll);
    return NULL;
}

/* end(): see close_poller. */
static napi_value end_poller(napi_env env, napi_callback_info info)
{
    struct poller *poller = enter_poller(env, info, 0, NULL);
    if (poller != NULL)
        close_poller(poller);
    return NULL;
}

const struct socket_call socket_calls[] = {
    {"connect", connect_tcp},
    {"connectUnix", connect_unix},
    {"listen", listen_tcp},
    {"listenUnix", listen_unix},
    {"accept", accept_stream},
    {"send", send_stream},
    {"receive", receive_stream},
    {"shutdownWrite", shutdown_write},
    {"finish", finish_stream},
    {"close", close_socket},
    {"reset", reset_stream},
    {"takeError", take_error},
    {"localAddress", local_address},
    {"openDatagram", open_datagram},
    {"openEcho", open_echo},
    {"sendTo", send_to},
    {"nextLength", next_length},
    {"receiveFrom", receive_from},
    {"dropped", count_dropped},
    {"setReferenced", set_referenced},
    {"end", end_poller},
};

const size_t socket_call_count = sizeof socket_calls / sizeof *socket_calls;
