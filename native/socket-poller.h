/*
 * The sockets of one host network, and one epoll descriptor that watches all of them.
 *
 * Every socket is registered once, edge-triggered, for everything; nothing is ever changed in what is watched. The event loop watches the
 * epoll descriptor alone: however many sockets have become ready, that is one wake-up, one epoll_wait and one call of JavaScript.
 *
 * JavaScript knows sockets by ids, not by descriptors: an id is never used twice in a row, so that what comes late for a socket that is
 * closed finds nothing, and not the next socket of that descriptor.
 */
#ifndef SLIRP_WASM_SOCKET_POLLER_H
#define SLIRP_WASM_SOCKET_POLLER_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "busy-poll.h"
#include "socket-address.h"

enum socket_kind { SOCKET_TCP, SOCKET_UNIX, SOCKET_LISTENER, SOCKET_DATAGRAM, SOCKET_ECHO };

struct socket_slot {
    /* 0: free. */
    int32_t id;
    int fd;
    enum socket_kind kind;
    /* Of the last datagram: an error that comes back is told only if it is about that. */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } last_remote;
    /* A system's error that was reported for datagrams; 0: none. */
    int pending_error;
    uint32_t next_free;
};

/* The longest datagram, and one byte more. */
#define MAX_DATAGRAM 65536

/* A datagram that was taken from the kernel to learn its length, and that its socket's owner has not fetched yet. */
struct staged_datagram {
    int32_t id;
    size_t length;
    union socket_address source;
    uint8_t bytes[MAX_DATAGRAM];
};

struct poller {
    uv_poll_t poll;
    struct busy_poll busy;
    /* Of the event loop: `poll`, and `busy.prepare` where busy polling is on. */
    int handles;
    napi_env env;
    napi_ref events, callback, resource;
    napi_async_context context;
    napi_async_cleanup_hook_handle hook;
    int epoll_fd;
    /* One for each handle in the event loop, one for each function of JavaScript that leads here. */
    int references;
    bool closed;
    struct socket_slot *slots;
    uint32_t slot_count, first_free;
    struct staged_datagram *staged;
};

/* createPoller(events, callback, busyPollUs): the calls of a new poller (socket-calls.h), as an object of functions; the events of a batch
 * are put into the Int32Array, id and EPOLL… bits in turn, before the callback is called with their number. Above 0 microseconds the event
 * loop polls busily for so long (busy-poll.h), whatever it waits for. */
napi_value create_poller(napi_env env, napi_callback_info info);

/* Takes over a descriptor and watches it, or closes it. Answers the id, or a negative answer. */
int32_t add_socket(struct poller *poller, int fd, enum socket_kind kind);

/* Closes a socket and forgets it. */
void remove_socket(struct poller *poller, struct socket_slot *slot);

/* NULL where there is no such socket (any more). Valid until a socket is added. */
struct socket_slot *find_socket(struct poller *poller, int32_t id);

/* Ends everything: sockets, the epoll descriptor, the handle. Safe to call again. */
void close_poller(struct poller *poller);

#endif
