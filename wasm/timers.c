/*
 * The timers that libslirp asks its application for. It has one kind, router advertisements, but the interface allows for more.
 */
#include "slirp.h"

#include "stack.h"
#include "timers.h"

struct timer {
    SlirpTimerId id;
    void *opaque;
    double due; /* milliseconds; -1: not set */
    struct timer *next;
};

static struct timer *timers;

void *timers_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    (void)opaque;
    struct timer *timer = g_new0(struct timer, 1);
    timer->id = id;
    timer->opaque = cb_opaque;
    timer->due = -1;
    timer->next = timers;
    timers = timer;
    return timer;
}

void timers_free(void *timer, void *opaque)
{
    (void)opaque;
    for (struct timer **link = &timers; *link; link = &(*link)->next) {
        if (*link == timer) {
            *link = (*link)->next;
            g_free(timer);
            return;
        }
    }
}

void timers_modify(void *timer, int64_t due_ms, void *opaque)
{
    (void)opaque;
    ((struct timer *)timer)->due = (double)due_ms;
}

void timers_run(void)
{
    for (struct timer *timer = timers, *next; timer; timer = next) {
        next = timer->next;
        if (timer->due >= 0 && now_ms >= timer->due) {
            timer->due = -1;
            slirp_handle_timer(the_slirp, timer->id, timer->opaque);
        }
    }
}

double timers_due(void)
{
    double due = -1;
    for (struct timer *timer = timers; timer; timer = timer->next) {
        if (timer->due >= 0 && (due < 0 || timer->due < due)) {
            due = timer->due;
        }
    }
    return due;
}
