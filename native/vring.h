/*
 * The driver's side of virtqueues (virtio 1.2, 2.7 "Split Virtqueues"; linux/virtio_ring.h), for a device that works on the same memory at
 * the same time: vhost-net, which is the kernel.
 *
 * Two kinds, both for messages up to a bound, with a virtio-net header of 12 bytes in front:
 *
 * - A receive ring posts all its buffers. A message fills one or, merged, several of them; it is looked at (`peek`), copied out, and its
 *   buffers are posted again, a batch at a time (`publish`).
 * - A transmit ring has an area in which messages lie side by side until the device has used them, in whatever order; `publish` shows the
 *   device all that were put since.
 *
 * `publish` answers whether the device wants to be kicked: a device that is at work does not, so that a batch costs one kick or none.
 * What the device writes is read once, and never believed beyond the bounds of what it was given: where it makes no sense the ring is
 * broken, and says so for good.
 */
#ifndef SLIRP_WASM_VRING_H
#define SLIRP_WASM_VRING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Descriptors of a ring. With 4096 bytes for each a ring has room for 15 of the longest frames, or 256 short ones. */
#define RING_SIZE 256
#define RECEIVE_BUFFER 4096
#define TRANSMIT_AREA (RING_SIZE * 4096)
/* virtio_net_hdr_mrg_rxbuf. */
#define RING_HEADER 12
/* Bytes of one ring's descriptors, indices and event fields, rounded up so that the next thing is aligned. */
#define RING_TABLES 8192

/* What is common to both kinds. `memory` is what the device sees; its addresses are offsets from there. */
struct vring_driver {
    uint8_t *memory;
    struct vring tables;
    /* Both sides name the index at which they want to hear of the other (VIRTIO_RING_F_EVENT_IDX). */
    bool event_index;
    bool broken;
    /* What is put but perhaps not shown yet; what has been shown; what has been seen of the device's. */
    uint16_t available, published, used;
};

struct receive_ring {
    struct vring_driver driver;
    size_t buffers;
    bool posted[RING_SIZE];
    /* The message that was looked at last: where its pieces lie. */
    uint16_t pieces, heads[RING_SIZE];
    uint32_t lengths[RING_SIZE];
    size_t message_length;
};

struct transmit_entry {
    size_t start;
    bool done;
};

struct transmit_ring {
    struct vring_driver driver;
    size_t area;
    /* In the order in which they were put; number n is descriptor n % RING_SIZE. */
    struct transmit_entry entries[RING_SIZE];
    uint32_t oldest, next;
    /* Of the area: where the next message goes. */
    size_t head;
    /* Bytes that found no room; 0 where nobody waits. */
    size_t wanted;
};

/* The memory that both rings take, from the tables to the last buffer. */
#define RINGS_MEMORY (2 * RING_TABLES + RING_SIZE * RECEIVE_BUFFER + TRANSMIT_AREA)

/* Lays both rings into zeroed memory of RINGS_MEMORY bytes, aligned to pages, and posts all receive buffers. */
void lay_rings(struct receive_ring *receive, struct transmit_ring *transmit, uint8_t *memory, bool event_index);

/* Looks at the next message: whether there is one. Its length, header included, stands in `message_length`. */
bool receive_ring_peek(struct receive_ring *ring);
/* Copies of the message that was looked at, from byte `from`, which is within it, at most `limit` bytes. */
void receive_ring_copy(const struct receive_ring *ring, size_t from, uint8_t *target, size_t limit);
/* Gives the buffers of that message back; the device sees them with the next `publish`. */
void receive_ring_release(struct receive_ring *ring);

/* Where the next message goes, or NULL where there is no room for `length` bytes (at most a quarter of the area). */
uint8_t *transmit_ring_reserve(struct transmit_ring *ring, size_t length);
/* Puts the message of that length that was written to where `reserve` said. */
void transmit_ring_put(struct transmit_ring *ring, const uint8_t *message, size_t length);
/* Takes note of what the device has done with. */
void transmit_ring_reclaim(struct transmit_ring *ring);
/* Messages that the device has not done with. */
uint32_t transmit_ring_pending(const struct transmit_ring *ring);

/* Shows the device what is new; whether it wants to be kicked. */
bool vring_publish(struct vring_driver *driver);
/*
 * Asks to hear of the device once it has used `more` more than has been seen (1: as soon as possible). False where that is so already, in
 * which case nothing may come.
 */
bool vring_listen(struct vring_driver *driver, uint16_t more);
/* Asks not to hear of it; something may come nevertheless. */
void vring_ignore(struct vring_driver *driver);

#endif
