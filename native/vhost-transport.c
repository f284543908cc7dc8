/*
 * Frames by vhost-net: the port copies them from and to the rings, a batch at a time, and at its end shows the kernel what is new. A call
 * wakes us when frames have come, which is asked for when there are none, and when the transmit ring has room again, which is asked for
 * when it had none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"
#include "vhost-device.h"

#define NEEDS_CHECKSUM 0x01
#define GSO_ECN 0x80

/* What is waited for where all that was taken is to be passed on. */
#define ALL_ROOM SIZE_MAX

static int wanted_events(const struct port *port)
{
    return port->reading || port->waiting_to_write ? UV_READABLE : 0;
}

static int find_error(struct port *port)
{
    (void)port;
    return EIO;
}

static bool has_room(struct transmit_ring *ring)
{
    if (ring->wanted == ALL_ROOM)
        return transmit_ring_pending(ring) == 0;
    return transmit_ring_reserve(ring, ring->wanted) != NULL;
}

/* Whether the wait is over; else a call comes when most of what is pending is done, not for each. */
static bool await_room(struct transmit_ring *ring)
{
    for (;;) {
        transmit_ring_reclaim(ring);
        if (ring->driver.broken || has_room(ring))
            return true;
        uint32_t pending = transmit_ring_pending(ring);
        if (vring_listen(&ring->driver, (uint16_t)(ring->wanted == ALL_ROOM ? pending : (pending * 3 + 3) / 4)))
            return false;
    }
}

static void on_events(struct port *port, int events)
{
    struct vhost_device *device = port->vhost;
    (void)events;
    take_call(device);
    if (!device->receive.driver.event_index) {
        vring_ignore(&device->receive.driver);
        vring_ignore(&device->transmit.driver);
    }
    transmit_ring_reclaim(&device->transmit);
    if (port->waiting_to_write && await_room(&device->transmit)) {
        port->waiting_to_write = false;
        update_poll(port);
        if (device->transmit.driver.broken)
            fail(port, EPROTO);
        else
            emit(port, EVENT_WRITABLE, 0);
    }
    if (port->reading)
        read_turn(port);
}

/* Copies what was looked at behind the others, or counts it where it cannot be handed on. */
static void take_message(struct port *port, struct receive_ring *ring, struct batch *batch)
{
    uint8_t header[RING_HEADER];
    size_t length = ring->message_length - RING_HEADER;
    receive_ring_copy(ring, 0, header, RING_HEADER);
    if (is_readable(port, length, header)) {
        receive_ring_copy(ring, RING_HEADER, batch->bytes + batch->used + port->nic_header, length);
        note_message(port, batch, header, length);
    } else {
        port->unreadable++;
    }
    receive_ring_release(ring);
}

static bool read_one(struct port *port, struct batch *batch)
{
    struct receive_ring *ring = &port->vhost->receive;
    if (!receive_ring_peek(ring)) {
        batch->drained = true;
        batch->error = ring->driver.broken ? EPROTO : 0;
        return false;
    }
    size_t length = ring->message_length - RING_HEADER;
    if (length <= MAX_FRAME && batch->used + port->nic_header + length > batch->capacity)
        return false;
    take_message(port, ring, batch);
    return true;
}

static void end_batch(struct port *port)
{
    kick_receive(port->vhost);
    kick_transmit(port->vhost);
    transmit_ring_reclaim(&port->vhost->transmit);
}

static bool sleep_until_called(struct port *port)
{
    return vring_listen(&port->vhost->receive.driver, 1);
}

static void postpone(struct port *port)
{
    call_ourselves(port->vhost);
}

/*
 * Whether the kernel will take the header (virtio 1.2, 5.1.6.2). vhost-net has nobody to tell when it does not, and drops the frame; where
 * frames are written by system calls, it is these that are refused.
 */
static bool is_sound_header(const struct port *port, const uint8_t *header, size_t length)
{
#define FIELD(at) ((size_t)(port->big_endian ? header[at] << 8 | header[(at) + 1] : header[(at) + 1] << 8 | header[at]))
    size_t header_length = FIELD(2), segment = FIELD(4), checksum_end = FIELD(6) + FIELD(8) + 2;
#undef FIELD
    uint8_t gso = header[1];
    if (header_length > length || ((header[0] & NEEDS_CHECKSUM) != 0 && checksum_end > length))
        return false;
    if (gso == 0)
        return true;
    gso &= (uint8_t)~GSO_ECN;
    /* TCP over IPv4, UDP fragments, TCP over IPv6, UDP. */
    return (gso == 1 || gso == 3 || gso == 4 || gso == 5) && segment > 0;
}

static void copy_pieces(uint8_t *target, const struct iovec *pieces, int count)
{
    for (int i = 0; i < count; i++) {
        /* An empty piece may have no address. */
        if (pieces[i].iov_len > 0)
            memcpy(target, pieces[i].iov_base, pieces[i].iov_len);
        target += pieces[i].iov_len;
    }
}

static enum status write_one(struct port *port, const uint8_t *header, struct iovec *pieces, int count, size_t length, int *error)
{
    struct transmit_ring *ring = &port->vhost->transmit;
    if (port->kernel_header > 0 && !is_sound_header(port, header, length)) {
        *error = EINVAL;
        return STATUS_DROPPED;
    }
    uint8_t *message = transmit_ring_reserve(ring, RING_HEADER + length);
    if (message == NULL) {
        ring->wanted = RING_HEADER + length;
        if (!await_room(ring))
            return STATUS_MUST_WAIT;
        message = transmit_ring_reserve(ring, RING_HEADER + length);
    }
    if (message == NULL || ring->driver.broken) {
        *error = EPROTO;
        return STATUS_DROPPED;
    }
    memset(message, 0, RING_HEADER);
    if (port->kernel_header > 0)
        memcpy(message, header, KERNEL_HEADER);
    copy_pieces(message + RING_HEADER, pieces + 1, count);
    transmit_ring_put(ring, message, RING_HEADER + length);
    return STATUS_TAKEN;
}

static uint32_t drain(struct port *port)
{
    struct transmit_ring *ring = &port->vhost->transmit;
    ring->wanted = ALL_ROOM;
    if (await_room(ring))
        return 0;
    port->waiting_to_write = true;
    update_poll(port);
    return transmit_ring_pending(ring);
}

static void discard(struct port *port)
{
    struct receive_ring *ring = &port->vhost->receive;
    for (int i = 0; i < RING_SIZE && receive_ring_peek(ring); i++) {
        port->unreadable++;
        receive_ring_release(ring);
    }
    kick_receive(port->vhost);
}

static void close_vhost(struct port *port)
{
    stop_vhost(port->vhost);
    free(port->vhost);
    port->vhost = NULL;
}

const struct transport VHOST_TRANSPORT = {
    .wanted_events = wanted_events,
    .on_events = on_events,
    .find_error = find_error,
    .read_one = read_one,
    .end_batch = end_batch,
    .sleep = sleep_until_called,
    .postpone = postpone,
    .write_one = write_one,
    .drain = drain,
    .discard = discard,
    .close = close_vhost,
};
