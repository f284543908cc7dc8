#include "port.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost-device.h"

/* Of kernel 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* Batches a turn: some hundred small frames, after which others on the event loop have theirs. */
#define BATCHES_A_TURN 4

napi_typedarray_type array_type(enum array which)
{
    return which == ARRAY_BYTES ? napi_uint8_array : napi_uint32_array;
}

static bool own_view(struct port *port, enum array which, struct view *view)
{
    napi_value value;
    return napi_get_reference_value(port->env, port->arrays[which], &value) == napi_ok && value != NULL &&
           view_of(port->env, value, array_type(which), view);
}

static uint32_t *answers_of(struct port *port)
{
    struct view view;
    return own_view(port, ARRAY_ANSWERS, &view) && view.length >= ANSWER_COUNT ? view.data : port->nowhere;
}

uint32_t *note_sums(struct port *port)
{
    uint32_t *answers = answers_of(port);
    answers[ANSWER_UNREADABLE] = port->unreadable;
    if (port->vhost != NULL) {
        answers[ANSWER_KICKS] = port->vhost->kicked;
        answers[ANSWER_CALLS] = port->vhost->called;
    }
    return answers;
}

static void release(struct port *port)
{
    if (--port->references == 0)
        free(port);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct port *port = handle->data;
    napi_remove_async_cleanup_hook(port->hook);
    release(port);
}

void close_port(struct port *port, bool keep_descriptor)
{
    if (port->closed)
        return;
    port->closed = true;
    port->reading = false;
    port->waiting_to_write = false;
    uv_poll_stop(&port->poll);
    uv_close((uv_handle_t *)&port->poll, on_handle_closed);
    if (keep_descriptor && port->vhost != NULL)
        detach_vhost(port->vhost);
    port->transport->close(port);
    if (!keep_descriptor)
        close(port->fd);
    port->fd = -1;
    napi_async_destroy(port->env, port->context);
    napi_delete_reference(port->env, port->callback);
    for (int i = 0; i < ARRAY_COUNT; i++)
        napi_delete_reference(port->env, port->arrays[i]);
    /* Last: from here on the object may be collected. */
    napi_delete_reference(port->env, port->self);
}

void on_environment_end(napi_async_cleanup_hook_handle hook, void *data)
{
    (void)hook;
    close_port(data, false);
}

void on_collected(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    release(data);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct port *port = handle->data;
    napi_handle_scope scope;
    if (port->closed || napi_open_handle_scope(port->env, &scope) != napi_ok)
        return;
    /* JavaScript may close the port, which keeps its memory for as long as the handle closes. */
    if (status < 0)
        fail(port, port->transport->find_error(port));
    else
        port->transport->on_events(port, events);
    napi_close_handle_scope(port->env, scope);
}

/* Has the event loop watch for what is wanted now. */
void update_poll(struct port *port)
{
    if (port->closed)
        return;
    int events = port->transport->wanted_events(port);
    if (events == 0)
        uv_poll_stop(&port->poll);
    else
        uv_poll_start(&port->poll, events, on_poll);
}

/* Calls JavaScript from the event loop. */
void emit(struct port *port, enum event event, int32_t value)
{
    napi_env env = port->env;
    napi_value self, callback, arguments[2];
    if (napi_get_reference_value(env, port->self, &self) != napi_ok ||
        napi_get_reference_value(env, port->callback, &callback) != napi_ok ||
        napi_create_int32(env, event, &arguments[0]) != napi_ok ||
        napi_create_int32(env, value, &arguments[1]) != napi_ok)
        return;
    if (napi_make_callback(env, port->context, self, callback, 2, arguments, NULL) == napi_ok)
        return;
    /* It threw: as for any other callback of Node, that is an uncaught exception. A worker being terminated throws nothing. */
    bool pending = false;
    napi_value error;
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error);
}

void fail(struct port *port, int error)
{
    port->reading = false;
    port->waiting_to_write = false;
    update_poll(port);
    emit(port, EVENT_FAILED, error);
}

/* What a header leaves to the NIC, as TUN_F_… say it; more than there is for a kind that nobody knows. */
static uint32_t needed_offloads(const uint8_t *header)
{
    /* By the type of a long frame (linux/virtio_net.h). Datagrams of both IP versions are agreed on together. */
    static const uint32_t by_type[] = {0,           TUN_F_TSO4, UINT32_MAX,
                                       TUN_F_UFO,   TUN_F_TSO6, TUN_F_USO4 | TUN_F_USO6};
    uint8_t type = header[1] & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    uint32_t needed = type < sizeof by_type / sizeof *by_type ? by_type[type] : UINT32_MAX;
    if ((header[1] & VIRTIO_NET_HDR_GSO_ECN) != 0)
        needed |= TUN_F_TSO_ECN;
    return (header[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 ? needed | TUN_F_CSUM : needed;
}

/*
 * Frames that the kernel queued before the NIC gave offloads up, or by what another queue of the device takes, are more than was agreed on:
 * without a header, or with one that the NIC does not look at, they would pass for whole.
 */
bool is_readable(const struct port *port, size_t length, const uint8_t *kernel_header)
{
    size_t shortest = port->ethernet ? ETHERNET_HEADER : 1;
    return length >= shortest && length <= MAX_FRAME &&
           (port->kernel_header == 0 || (needed_offloads(kernel_header) & ~port->offloads) == 0);
}

static void write_nic_header(const struct port *port, const uint8_t *kernel_header, uint8_t *target)
{
    memset(target, 0, port->nic_header);
    if (port->kernel_header > 0)
        memcpy(target, kernel_header, KERNEL_HEADER);
    /* num_buffers: the kernel leaves it alone, and the frame lies in one piece. */
    if (port->nic_header >= 12)
        target[port->big_endian ? 11 : 10] = 1;
}

void note_message(const struct port *port, struct batch *batch, const uint8_t *kernel_header, size_t length)
{
    if (port->nic_header > 0)
        write_nic_header(port, kernel_header, batch->bytes + batch->used);
    batch->offsets[batch->count] = (uint32_t)batch->used;
    batch->lengths[batch->count] = (uint32_t)length + port->nic_header;
    batch->count++;
    /* Frames begin at multiples of 8, which is what copying and summing them likes. */
    batch->used = (batch->used + port->nic_header + length + 7) & ~(size_t)7;
}

bool read_batch(struct port *port, struct batch *batch, struct view views[3])
{
    *batch = (struct batch){
        .bytes = views[ARRAY_BYTES].data,
        .capacity = views[ARRAY_BYTES].length,
        .offsets = views[ARRAY_OFFSETS].data,
        .lengths = views[ARRAY_LENGTHS].data,
        .limit = views[ARRAY_OFFSETS].length < views[ARRAY_LENGTHS].length ? views[ARRAY_OFFSETS].length
                                                                           : views[ARRAY_LENGTHS].length,
    };
    if (batch->limit == 0 || batch->capacity < port->nic_header + MAX_FRAME + 1) {
        batch->error = EFAULT;
        return false;
    }
    while (batch->count < batch->limit && port->transport->read_one(port, batch))
        continue;
    port->transport->end_batch(port);
    note_sums(port);
    return true;
}

void read_turn(struct port *port)
{
    for (int i = 0; i < BATCHES_A_TURN && port->reading; i++) {
        struct view views[3] = {0};
        struct batch batch;
        for (enum array which = ARRAY_BYTES; which <= ARRAY_LENGTHS; which++)
            own_view(port, which, &views[which]);
        read_batch(port, &batch, views);
        if (batch.count > 0)
            emit(port, EVENT_FRAMES, (int32_t)batch.count);
        if (port->closed)
            return;
        if (batch.error != 0) {
            fail(port, batch.error);
            return;
        }
        if (batch.drained && port->transport->sleep(port))
            return;
    }
    if (port->reading)
        port->transport->postpone(port);
}

enum status write_frame(struct port *port, struct iovec *pieces, int count, size_t length, int *error)
{
    uint8_t header[MAX_HEADER] = {0};
    size_t to_skip = port->nic_header, copied = 0;
    if (length < port->nic_header + (port->ethernet ? ETHERNET_HEADER : 1) ||
        length > port->nic_header + MAX_FRAME) {
        *error = EMSGSIZE;
        return STATUS_DROPPED;
    }
    int first = 1;
    while (to_skip > 0) {
        size_t part = pieces[first].iov_len < to_skip ? pieces[first].iov_len : to_skip;
        memcpy(header + copied, pieces[first].iov_base, part);
        copied += part;
        to_skip -= part;
        pieces[first].iov_base = (uint8_t *)pieces[first].iov_base + part;
        pieces[first].iov_len -= part;
        if (pieces[first].iov_len == 0)
            first++;
    }
    enum status status = port->transport->write_one(port, header, pieces + first - 1, count + 1 - first,
                                                    length - port->nic_header, error);
    if (status == STATUS_MUST_WAIT) {
        port->waiting_to_write = true;
        update_poll(port);
    }
    return status;
}
