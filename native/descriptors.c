#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "in-namespace.h"
#include "throw.h"

/* Of kernels 4.20 and 5.2. */
#ifndef TUNSETCARRIER
#define TUNSETCARRIER _IOW('T', 226, int)
#endif
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

static int open_path(void *data)
{
    int fd = open((const char *)data, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

napi_value open_tun(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    char path[4096];
    int32_t namespace_fd;
    if (!read_arguments(env, info, 2, arguments, NULL) || !read_text(env, arguments[0], path, sizeof path) ||
        !read_int32(env, arguments[1], &namespace_fd))
        return NULL;
    const char *call = "open";
    int fd = run_in_namespace(namespace_fd, open_path, path, &call);
    return fd < 0 ? throw_errno(env, -fd, call) : make_int32(env, fd);
}

static int open_route_socket(void *data)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = *(const uint32_t *)data};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    /* Errors with the kernel's own words for what is wrong; older kernels say the number alone. */
    int on = 1;
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

napi_value open_netlink(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    int32_t namespace_fd;
    uint32_t groups;
    if (!read_arguments(env, info, 2, arguments, NULL) || !read_int32(env, arguments[0], &namespace_fd) ||
        !read_uint32(env, arguments[1], &groups))
        return NULL;
    const char *call = "socket";
    int fd = run_in_namespace(namespace_fd, open_route_socket, &groups, &call);
    return fd < 0 ? throw_errno(env, -fd, call) : make_int32(env, fd);
}

napi_value set_interface(napi_env env, napi_callback_info info)
{
    napi_value arguments[3], name;
    struct ifreq request = {0};
    int32_t fd;
    uint32_t flags;
    if (!read_arguments(env, info, 3, arguments, NULL) || !read_int32(env, arguments[0], &fd) ||
        !read_text(env, arguments[1], request.ifr_name, sizeof request.ifr_name) ||
        !read_uint32(env, arguments[2], &flags))
        return NULL;
    request.ifr_flags = (short)flags;
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return throw_errno(env, errno, "TUNSETIFF");
    size_t length = strnlen(request.ifr_name, sizeof request.ifr_name);
    return napi_create_string_utf8(env, request.ifr_name, length, &name) == napi_ok ? name : NULL;
}

napi_value get_interface(napi_env env, napi_callback_info info)
{
    napi_value arguments[1], object, value;
    struct ifreq request = {0};
    int32_t fd;
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_int32(env, arguments[0], &fd))
        return NULL;
    if (ioctl(fd, TUNGETIFF, &request) < 0)
        return throw_errno(env, errno, "TUNGETIFF");
    size_t length = strnlen(request.ifr_name, sizeof request.ifr_name);
    if (napi_create_object(env, &object) != napi_ok ||
        napi_create_string_utf8(env, request.ifr_name, length, &value) != napi_ok ||
        napi_set_named_property(env, object, "name", value) != napi_ok ||
        napi_create_uint32(env, (uint16_t)request.ifr_flags, &value) != napi_ok ||
        napi_set_named_property(env, object, "flags", value) != napi_ok)
        return NULL;
    return object;
}

/* How a request takes its number: in the argument itself, or through a pointer to an int. */
enum passing { BY_VALUE, BY_POINTER };

struct tun_request {
    unsigned long request;
    enum passing passing;
    const char *name;
};

/* Nothing but these can be asked for: a request that writes more than an int would write past it. */
static const struct tun_request REQUESTS[] = {
    {TUNSETPERSIST, BY_VALUE, "TUNSETPERSIST"},
    {TUNSETOWNER, BY_VALUE, "TUNSETOWNER"},
    {TUNSETGROUP, BY_VALUE, "TUNSETGROUP"},
    {TUNGETFEATURES, BY_POINTER, "TUNGETFEATURES"},
    {TUNSETOFFLOAD, BY_VALUE, "TUNSETOFFLOAD"},
    {TUNGETSNDBUF, BY_POINTER, "TUNGETSNDBUF"},
    {TUNSETSNDBUF, BY_POINTER, "TUNSETSNDBUF"},
    {TUNGETVNETHDRSZ, BY_POINTER, "TUNGETVNETHDRSZ"},
    {TUNSETVNETHDRSZ, BY_POINTER, "TUNSETVNETHDRSZ"},
    {TUNSETVNETLE, BY_POINTER, "TUNSETVNETLE"},
    {TUNGETVNETLE, BY_POINTER, "TUNGETVNETLE"},
    {TUNSETVNETBE, BY_POINTER, "TUNSETVNETBE"},
    {TUNGETVNETBE, BY_POINTER, "TUNGETVNETBE"},
    {TUNSETSTEERINGEBPF, BY_POINTER, "TUNSETSTEERINGEBPF"},
    {TUNSETFILTEREBPF, BY_POINTER, "TUNSETFILTEREBPF"},
    {TUNSETCARRIER, BY_POINTER, "TUNSETCARRIER"},
};

/* TUNSETQUEUE takes a whole ifreq of which it reads the flags. */
static int set_queue(int fd, int32_t flags)
{
    struct ifreq request = {.ifr_flags = (short)flags};
    return ioctl(fd, TUNSETQUEUE, &request);
}

napi_value control_tun(napi_env env, napi_callback_info info)
{
    napi_value arguments[3];
    int32_t fd, value;
    uint32_t command;
    if (!read_arguments(env, info, 3, arguments, NULL) || !read_int32(env, arguments[0], &fd) ||
        !read_uint32(env, arguments[1], &command) || !read_int32(env, arguments[2], &value))
        return NULL;
    if (command == _IOC_NR(TUNSETQUEUE)) {
        if (set_queue(fd, value) < 0)
            return throw_errno(env, errno, "TUNSETQUEUE");
        return make_int32(env, 0);
    }
    for (size_t i = 0; i < sizeof REQUESTS / sizeof *REQUESTS; i++) {
        const struct tun_request *row = &REQUESTS[i];
        if (_IOC_NR(row->request) != command)
            continue;
        int number = value;
        int status = row->passing == BY_VALUE ? ioctl(fd, row->request, (unsigned long)(unsigned)value)
                                              : ioctl(fd, row->request, &number);
        return status < 0 ? throw_errno(env, errno, row->name) : make_int32(env, number);
    }
    return throw_type(env, "there is no such TUN request");
}

napi_value get_device_namespace(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    int32_t fd;
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_int32(env, arguments[0], &fd))
        return NULL;
    int namespace_fd = ioctl(fd, TUNGETDEVNETNS);
    return namespace_fd < 0 ? throw_errno(env, errno, "TUNGETDEVNETNS") : make_int32(env, namespace_fd);
}

napi_value get_hardware_address(napi_env env, napi_callback_info info)
{
    enum { BYTES = 6 };
    napi_value arguments[1], buffer, array;
    void *bytes;
    struct ifreq request = {0};
    int32_t fd;
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_int32(env, arguments[0], &fd))
        return NULL;
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return throw_errno(env, errno, "SIOCGIFHWADDR");
    if (napi_create_arraybuffer(env, BYTES, &bytes, &buffer) != napi_ok ||
        napi_create_typedarray(env, napi_uint8_array, BYTES, buffer, 0, &array) != napi_ok)
        return NULL;
    memcpy(bytes, request.ifr_hwaddr.sa_data, BYTES);
    return array;
}

napi_value prepare_descriptor(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    int32_t fd;
    if (!read_arguments(env, info, 1, arguments, NULL) || !read_int32(env, arguments[0], &fd))
        return NULL;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return throw_errno(env, errno, "fcntl");
    return make_int32(env, fd);
}
