/*
 * vhost-net (linux/vhost.h): a thread of the kernel that moves frames between a TAP and virtqueues in this process's memory, so that a
 * frame costs no system call. We are the driver: what a guest's virtio-net driver does elsewhere.
 *
 * One device serves one queue of a TAP: a ring each way (vring.h). Eventfds wake the other side: one a ring towards the kernel (a kick),
 * and one for both rings towards us (a call).
 */
#ifndef SLIRP_WASM_VHOST_DEVICE_H
#define SLIRP_WASM_VHOST_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "vring.h"

struct vhost_device {
    int fd, call;
    int kicks[2];
    uint8_t *memory;
    struct receive_ring receive;
    struct transmit_ring transmit;
    /* How often we kicked, and were called. */
    uint32_t kicked, called;
};

struct vhost_settings {
    /* Of /dev/vhost-net, and of an attached TAP, whose header has RING_HEADER bytes where it has one. */
    int fd, tap;
    bool tap_has_header;
    /* How long the kernel looks for more work before it sleeps. */
    uint32_t busy_poll_us;
};

/* Has vhost-net serve the TAP: 0, and its descriptor is the device's, or an errno and in `call` what failed; then it is the caller's. */
int start_vhost(struct vhost_device *device, const struct vhost_settings *settings, const char **call);

/* The kernel lets go of memory and TAP; the descriptor is nobody's, to be given back or closed. */
void detach_vhost(struct vhost_device *device);

/* Ends it: afterwards the kernel does not touch memory or TAP any more. */
void stop_vhost(struct vhost_device *device);

/* Shows a ring's news to the kernel, and wakes it where it sleeps. */
void kick_receive(struct vhost_device *device);
void kick_transmit(struct vhost_device *device);

/* Takes note of a call; wakes ourselves as a call would. */
void take_call(struct vhost_device *device);
void call_ourselves(struct vhost_device *device);

#endif
