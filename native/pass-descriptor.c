#include "pass-descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "throw.h"

napi_value make_socket_pair(napi_env env, napi_callback_info info)
{
    int pair[2];
    napi_value array;
    (void)info;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return throw_errno(env, errno, "socketpair");
    if (napi_create_array_with_length(env, 2, &array) == napi_ok &&
        napi_set_element(env, array, 0, make_int32(env, pair[0])) == napi_ok &&
        napi_set_element(env, array, 1, make_int32(env, pair[1])) == napi_ok)
        return array;
    close(pair[0]);
    close(pair[1]);
    return NULL;
}

/* Room for two: a message with more than the one that is meant is noticed. What finds no room the kernel closes itself. */
#define ROOM 2

/* How many descriptors came with a message; `fds` has them. */
static size_t list_descriptors(struct msghdr *message, int fds[ROOM])
{
    size_t count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t bytes = part->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= bytes && count < ROOM; at += sizeof(int))
            memcpy(&fds[count++], CMSG_DATA(part) + at, sizeof(int));
    }
    return count;
}

napi_value receive_descriptor(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    int32_t socket_fd;
    int fds[ROOM];
    char byte;
    struct iovec piece = {&byte, 1};
    union {
        char bytes[CMSG_SPACE(ROOM * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct msghdr message = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_int32(env, arguments[0], &socket_fd))
        return NULL;
    if (recvmsg(socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
        return throw_errno(env, errno, "recvmsg");
    size_t count = list_descriptors(&message, fds);
    if (count == 1 && (message.msg_flags & MSG_CTRUNC) == 0)
        return make_int32(env, fds[0]);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (count == ROOM)
        return throw_errno(env, EPROTO, "recvmsg");
    /* There was room for what came, but not in the table of this process. */
    return (message.msg_flags & MSG_CTRUNC) != 0 ? throw_errno(env, EMFILE, "recvmsg") : make_int32(env, -1);
}

napi_value close_descriptor(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    int32_t fd;
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_int32(env, arguments[0], &fd))
        return NULL;
    /* The descriptor is gone in any case; EINTR says nothing else (close(2)). */
    if (close(fd) < 0 && errno != EINTR)
        return throw_errno(env, errno, "close");
    return NULL;
}
