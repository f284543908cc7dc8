/* Descriptors from another process (unix(7), SCM_RIGHTS), which Node has no means to receive. */
#ifndef SLIRP_WASM_PASS_DESCRIPTOR_H
#define SLIRP_WASM_PASS_DESCRIPTOR_H

#include <node_api.h>

/* makeSocketPair(): two ends of a unix stream, as an array; both are closed when a program is started. */
napi_value make_socket_pair(napi_env env, napi_callback_info info);

/*
 * receiveDescriptor(socketFd): the descriptor in the message that waits there, or -1 where the message has none. EAGAIN: no message; EPROTO:
 * the message had several, which are closed; EMFILE: this process can have no more.
 */
napi_value receive_descriptor(napi_env env, napi_callback_info info);

/* closeDescriptor(fd): of one that the addon made or received. Node's own `close` keeps books on what Node opened, and warns of others. */
napi_value close_descriptor(napi_env env, napi_callback_info info);

#endif
