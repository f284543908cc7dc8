/*
 * FramePort: the data path between a descriptor that moves one message a system call (a TAP, a netlink socket) and JavaScript.
 *
 *     new FramePort(fd, isEthernet, bytes, offsets, lengths, answers, callback)
 *     new VhostPort(tapFd, vhostFd, tapHasHeader, busyPollUs, bytes, offsets, lengths, answers, callback)
 *
 * Reading: when the descriptor has something, up to as many messages as `offsets` has entries are read side by side into `bytes`, and
 * `callback(FRAMES, count)` is called once for all of them. A turn of the event loop reads a few such batches and no more.
 * Writing: at once, as far as the kernel takes it. What it does not take is answered, and `callback(WRITABLE, 0)` says when to come back.
 * The end: `callback(FAILED, errno)` once the descriptor has failed; reading has stopped then.
 *
 * A VhostPort moves a TAP's frames by vhost-net's rings instead (vhost-transport.c); all else is the same.
 *
 * The port owns the descriptor: `close()` closes it, and so does the end of the environment (a worker that is terminated, process.exit).
 * The typed arrays stay JavaScript's; their memory is looked up in every call, so that one that was transferred away is an error and
 * not a wild pointer.
 */
#ifndef SLIRP_WASM_FRAME_PORT_H
#define SLIRP_WASM_FRAME_PORT_H

#include <node_api.h>
#include <stdbool.h>

/* The classes, to be put into the addon's exports. */
napi_value define_port(napi_env env, bool of_vhost);

#endif
