#include "socket-address.h"

#include <errno.h>
#include <string.h>

bool decode_address(const uint8_t *bytes, union socket_address *address)
{
    memset(address, 0, sizeof *address);
    if (bytes[0] == 4) {
        address->v4.sin_family = AF_INET;
        memcpy(&address->v4.sin_port, bytes + 2, 2);
        memcpy(&address->v4.sin_addr, bytes + 8, 4);
        return true;
    }
    if (bytes[0] != 6)
        return false;
    address->v6.sin6_family = AF_INET6;
    memcpy(&address->v6.sin6_port, bytes + 2, 2);
    address->v6.sin6_scope_id =
        bytes[4] | (uint32_t)bytes[5] << 8 | (uint32_t)bytes[6] << 16 | (uint32_t)bytes[7] << 24;
    memcpy(&address->v6.sin6_addr, bytes + 8, 16);
    return true;
}

void encode_address(const union socket_address *address, uint8_t *bytes)
{
    memset(bytes, 0, ADDRESS_BYTES);
    if (address->any.sa_family == AF_INET) {
        bytes[0] = 4;
        memcpy(bytes + 2, &address->v4.sin_port, 2);
        memcpy(bytes + 8, &address->v4.sin_addr, 4);
    } else if (address->any.sa_family == AF_INET6) {
        bytes[0] = 6;
        memcpy(bytes + 2, &address->v6.sin6_port, 2);
        for (int i = 0; i < 4; i++)
            bytes[4 + i] = (uint8_t)(address->v6.sin6_scope_id >> 8 * i);
        memcpy(bytes + 8, &address->v6.sin6_addr, 16);
    }
}

socklen_t address_length(const union socket_address *address)
{
    return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

enum { WASI_EIO = 29 };

/* What has no name in `Errno` is told as the one that comes nearest to it, as src/node/errno-of.ts does; else as EIO. */
static const uint8_t WASI[] = {
    [EACCES] = 2,
    [EADDRINUSE] = 3,
    [EADDRNOTAVAIL] = 4,
    [EAFNOSUPPORT] = 5,
    [EPROTONOSUPPORT] = 5,
    [EAGAIN] = 6,
    [EBADF] = 8,
    [ECONNABORTED] = 13,
    [ECONNREFUSED] = 14,
    [ECONNRESET] = 15,
    [ENETRESET] = 15,
    [EHOSTUNREACH] = 23,
    [EHOSTDOWN] = 23,
    [EINPROGRESS] = 26,
    [EINVAL] = 28,
    [ENAMETOOLONG] = 28,
    [EIO] = WASI_EIO,
    [EMFILE] = 33,
    [EMSGSIZE] = 35,
    [ENETDOWN] = 38,
    [ENETUNREACH] = 40,
    [ENONET] = 40,
    [ENFILE] = 41,
    [ENOBUFS] = 42,
    [ENOENT] = 44,
    [ENOTDIR] = 44,
    [ENOMEM] = 48,
    [ENOPROTOOPT] = 50,
    [ENOSYS] = 52,
    [ENOTCONN] = 53,
    [EOPNOTSUPP] = 58,
    [EPERM] = 63,
    [EPIPE] = 64,
    [ESHUTDOWN] = 64,
    [ETIMEDOUT] = 73,
};

int32_t answer_of(int error)
{
    int number = error > 0 && error < (int)sizeof WASI ? WASI[error] : 0;
    return -(number == 0 ? WASI_EIO : number);
}
