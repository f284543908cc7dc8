/* libslirp's own timers (router advertisements): see timers.c. */
#ifndef SLIRP_WASM_TIMERS_H
#define SLIRP_WASM_TIMERS_H

#include "libslirp.h"

/* Callbacks of struct SlirpCb. */
void *timers_new(SlirpTimerId id, void *cb_opaque, void *opaque);
void timers_free(void *timer, void *opaque);
void timers_modify(void *timer, int64_t due_ms, void *opaque);

/* Runs what is due. */
void timers_run(void);
/* When the next is due, or -1. */
double timers_due(void);

#endif
