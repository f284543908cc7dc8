/*
 * Busy polling: before the event loop sleeps it asks for a while, again and again, whether something has become ready.
 *
 * A sleeping process has to be woken, which costs some ten microseconds of the time of both sides: more than a short question and its
 * answer. So Linux does it for network cards (SO_BUSY_POLL of socket(7)), and KVM for processors (halt_poll_ns). It is done only while what
 * came lately came soon enough for that, and every time the processor is first offered to others (sched_yield).
 */
#ifndef SLIRP_WASM_BUSY_POLL_H
#define SLIRP_WASM_BUSY_POLL_H

#include <stdint.h>
#include <uv.h>

/* The most that may be set, us: the event loop's timers count milliseconds. */
#define MAX_BUSY_POLL_US 1000

struct busy_poll {
    /* Comes before each wait of the event loop. `data` is free for the owner, who closes it. */
    uv_prepare_t prepare;
    /* The longest time to ask for, ns. */
    uint64_t limit_ns;
    /* How long waits have been lately, on average; each counts for at most twice the limit. */
    uint64_t usual_wait_ns;
    /* How long the last time took, which is not over if nothing came. */
    uint64_t asked_ns;
    /* How long the event loop has slept in its life. */
    uint64_t slept_ns;
};

/* Puts it into the event loop, which it does not hold. `limit_us` is above 0. Answers an error of libuv's, or 0. */
int start_busy_poll(struct busy_poll *busy, uv_loop_t *loop, uint32_t limit_us);

#endif
