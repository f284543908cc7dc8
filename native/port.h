/*
 * A port in itself (port.c): its life, its place in the event loop, batches and headers. frame-port.c makes a class of JavaScript's of it.
 * There are two ways in which its frames go: a descriptor that moves one message a system call, and the rings of vhost-net.
 */
#ifndef SLIRP_WASM_PORT_H
#define SLIRP_WASM_PORT_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <uv.h>

#include "throw.h"

/* An Ethernet header: no frame is shorter. */
#define ETHERNET_HEADER 14
/* The longest IP packet behind an Ethernet header with a VLAN tag. */
#define MAX_FRAME (65535 + ETHERNET_HEADER + 4)
/* The part of the virtio-net header that the kernel reads and writes; num_buffers behind it is ours. */
#define KERNEL_HEADER 10
/* The longest header that a TAP can be given (virtio-net with hash report). */
#define MAX_HEADER 20

enum event { EVENT_FRAMES, EVENT_WRITABLE, EVENT_FAILED };
enum status { STATUS_TAKEN, STATUS_DROPPED, STATUS_MUST_WAIT };
/* What `answers` has where. */
enum answer {
    ANSWER_CONSUMED,
    ANSWER_DROPPED,
    ANSWER_ERRNO,
    ANSWER_BYTES,
    ANSWER_UNREADABLE,
    ANSWER_KICKS,
    ANSWER_CALLS,
    ANSWER_COUNT
};

enum array { ARRAY_BYTES, ARRAY_OFFSETS, ARRAY_LENGTHS, ARRAY_ANSWERS, ARRAY_COUNT };

struct transport;
struct vhost_device;

struct port {
    const struct transport *transport;
    uv_poll_t poll;
    napi_env env;
    napi_ref self, callback, arrays[ARRAY_COUNT];
    napi_async_context context;
    napi_async_cleanup_hook_handle hook;
    int fd;
    /* NULL where frames go by the descriptor itself. */
    struct vhost_device *vhost;
    /* One for the JavaScript object, one for the handle in the event loop. */
    int references;
    bool closed, reading, waiting_to_write;
    /* Header before a message in the kernel's memory, and in JavaScript's. */
    uint32_t kernel_header, nic_header;
    bool big_endian;
    /* What the NIC takes unfinished: TUN_F_… */
    uint32_t offloads;
    /* Whether messages are frames, which are never shorter than ETHERNET_HEADER. */
    bool ethernet;
    uint32_t unreadable;
    /* Where answers go when JavaScript gave its array away. */
    uint32_t nowhere[ANSWER_COUNT];
};

/* Messages that are read side by side. */
struct batch {
    uint8_t *bytes;
    size_t capacity;
    uint32_t *offsets, *lengths;
    size_t limit, count, used;
    /* Nothing more is there; the error, where that is the reason. */
    bool drained;
    int error;
};

/* A way in which messages go. Nothing here calls JavaScript but `on_events`. */
struct transport {
    /* What the event loop is to watch for now: UV_READABLE, UV_WRITABLE, 0. */
    int (*wanted_events)(const struct port *port);
    void (*on_events)(struct port *port, int events);
    /* What is wrong, where libuv says only that something is. */
    int (*find_error)(struct port *port);
    /* One message behind the others of the batch; false where there is none, or no room. */
    bool (*read_one)(struct port *port, struct batch *batch);
    /* A batch has been read, or written: what goes with it is done once. */
    void (*end_batch)(struct port *port);
    /* Nothing is left to read: whether the event loop will tell of what comes now. False where something has come meanwhile. */
    bool (*sleep)(struct port *port);
    /* There may be something to read: has the event loop come back. */
    void (*postpone)(struct port *port);
    /* Writes a message; `pieces[0]` is free for a header in the kernel's form. */
    enum status (*write_one)(struct port *port, const uint8_t *header, struct iovec *pieces, int count, size_t length, int *error);
    /* Messages that were taken and not passed on yet; from now on WRITABLE tells when there are none. */
    uint32_t (*drain)(struct port *port);
    /* Forgets what waits to be read. */
    void (*discard)(struct port *port);
    void (*close)(struct port *port);
};

extern const struct transport DESCRIPTOR_TRANSPORT, VHOST_TRANSPORT;

/* For the ways: they say when, the port does it. After each that calls JavaScript the port may be closed. */
void update_poll(struct port *port);
void emit(struct port *port, enum event event, int32_t value);
void fail(struct port *port, int error);
void read_turn(struct port *port);
/* Whether a message of that length, with that header, can be handed on. */
bool is_readable(const struct port *port, size_t length, const uint8_t *kernel_header);
/* Puts the header that JavaScript is to see before a message, and notes the message, whose bytes the way has put behind it. */
void note_message(const struct port *port, struct batch *batch, const uint8_t *kernel_header, size_t length);

/* For the class (frame-port.c): what the arrays are of. */
napi_typedarray_type array_type(enum array which);
/* Writes the answers that are sums; all answers, to write the others. */
uint32_t *note_sums(struct port *port);
/* Reads a batch into these arrays; false, and an error of the batch, where they are no longer what they were. */
bool read_batch(struct port *port, struct batch *batch, struct view views[3]);
/* Writes a frame that lies in pieces, the header of JavaScript's length in front; `pieces[0]` is left for the kernel's header. */
enum status write_frame(struct port *port, struct iovec *pieces, int count, size_t length, int *error);
/* Ends everything but the memory, which goes when the handle and the JavaScript object are both gone. */
void close_port(struct port *port, bool keep_descriptor);
/* What Node tells of a port: its environment ends, its object is collected. */
void on_environment_end(napi_async_cleanup_hook_handle hook, void *data);
void on_collected(napi_env env, void *data, void *hint);

#endif
