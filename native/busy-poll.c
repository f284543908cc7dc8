#include "busy-poll.h"

#include <poll.h>
#include <sched.h>

/* A wait's part in the average is one of so many. */
#define AVERAGE_OVER 8

/* Takes the wait that is over into the average: what was asked, and what the event loop slept after that. Where there was none, it says
 * nothing. */
static void note_wait(struct busy_poll *busy, uv_loop_t *loop)
{
    uint64_t slept_ns = uv_metrics_idle_time(loop);
    uint64_t wait_ns = busy->asked_ns + slept_ns - busy->slept_ns;
    busy->slept_ns = slept_ns;
    busy->asked_ns = 0;
    if (wait_ns == 0)
        return;
    if (wait_ns > 2 * busy->limit_ns)
        wait_ns = 2 * busy->limit_ns;
    busy->usual_wait_ns = busy->usual_wait_ns - busy->usual_wait_ns / AVERAGE_OVER + wait_ns / AVERAGE_OVER;
}

/* The event loop waits at its own descriptor (epoll) for everything: files, sockets, signals, other threads. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct busy_poll *busy = (struct busy_poll *)prepare;
    uv_loop_t *loop = prepare->loop;
    note_wait(busy, loop);
    if (busy->usual_wait_ns > busy->limit_ns || uv_backend_timeout(loop) == 0)
        return;
    struct pollfd ready = {.fd = uv_backend_fd(loop), .events = POLLIN};
    uint64_t begin_ns = uv_hrtime();
    while (busy->asked_ns < busy->limit_ns && poll(&ready, 1, 0) == 0) {
        sched_yield();
        busy->asked_ns = uv_hrtime() - begin_ns;
    }
}

int start_busy_poll(struct busy_poll *busy, uv_loop_t *loop, uint32_t limit_us)
{
    /* It lets the event loop measure its sleep; Node has set it already. */
    int error = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
    if (error != 0 || (error = uv_prepare_init(loop, &busy->prepare)) != 0)
        return error;
    busy->limit_ns = limit_us * UINT64_C(1000);
    busy->usual_wait_ns = 2 * busy->limit_ns;
    busy->slept_ns = uv_metrics_idle_time(loop);
    uv_prepare_start(&busy->prepare, on_prepare);
    uv_unref((uv_handle_t *)&busy->prepare);
    return 0;
}
