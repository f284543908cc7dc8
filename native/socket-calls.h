/*
 * The calls of a poller: one function a system call, or two where JavaScript would always make both.
 *
 * Sockets are ids. Every call answers a number: an id, a count of bytes, 0, or an error made negative (socket-address.h); it throws only
 * where an argument is of the wrong kind. Bytes are read from and written to the Uint8Arrays themselves.
 */
#ifndef SLIRP_WASM_SOCKET_CALLS_H
#define SLIRP_WASM_SOCKET_CALLS_H

#include <node_api.h>

#include "socket-poller.h"
#include "throw.h"

struct socket_call {
    const char *name;
    napi_callback function;
};

extern const struct socket_call socket_calls[];
extern const size_t socket_call_count;

/* The poller of a call and its arguments; NULL, and an exception, where there are too few. */
struct poller *enter_poller(napi_env env, napi_callback_info info, size_t count, napi_value *arguments);

/*
 * The same for calls whose first argument is a socket. `*slot` is NULL where there is no such socket (any more), which is answered by
 * EBADF.
 */
struct poller *enter_socket(napi_env env, napi_callback_info info, size_t count, napi_value *arguments,
                            struct socket_slot **slot);

/* Arguments; false, and a TypeError, where they are something else. */
bool read_bytes(napi_env env, napi_value value, struct view *view);
/* An array for an address. */
bool read_address_array(napi_env env, napi_value value, uint8_t **bytes);
/* An address in it. */
bool read_address(napi_env env, napi_value value, union socket_address *address);

napi_value make_error(napi_env env, int error);

/* setsockopt with a number; -1 where the system does not let us. */
int set_option(int fd, int level, int option, int value);

#endif
