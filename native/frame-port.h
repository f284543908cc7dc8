/*
 * FramePort: the data path between a descriptor that moves one message a system call (a TAP, a netlink socket) and JavaScript.
 *
 *     new FramePort(fd, bytes, offsets, lengths, answers, callback)
 *
 * Reading: when the descriptor has something, up to as many messages as `offsets` has entries are read side by side into `bytes`, and
 * `callback(FRAMES, count)` is called once for all of them. A turn of the event loop reads a few such batches and no more.
 * Writing: at once, as far as the kernel takes it. What it does not take is answered, and `callback(WRITABLE, 0)` says when to come back.
 * The end: `callback(FAILED, errno)` once the descriptor has failed; reading has stopped then.
 *
 * The port owns the descriptor: `close()` closes it, and so does the end of the environment (a worker that is terminated, process.exit).
 * The typed arrays stay JavaScript's; their memory is looked up in every call, so that one that was transferred away is an error and
 * not a wild pointer.
 */
#ifndef SLIRP_WASM_FRAME_PORT_H
#define SLIRP_WASM_FRAME_PORT_H

#include <node_api.h>

/* The class, to be put into the addon's exports. */
napi_value define_frame_port(napi_env env);

#endif
