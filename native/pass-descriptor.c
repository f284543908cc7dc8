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

napi_value receive_descriptor(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    int32_t socket_fd;
    int fd = -1;
    char byte;
    struct iovec piece = {&byte, 1};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
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
    const struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
        rights->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    return make_int32(env, fd);
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
