/* TCP between libslirp's control blocks and the host network's streams: see streams.c. */
#ifndef SLIRP_WASM_STREAMS_H
#define SLIRP_WASM_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

struct socket;

/* The guest's data lies in so_rcv now. */
void stream_has_data_to_send(struct socket *so);
/* Uses what the host network said of a stream or a listener. */
void stream_drive(int fd, struct socket *so);
/* Frames of the guest are coming in: acknowledgements wait for streams_flush. */
void streams_begin_input(void);
/* Sends what was gathered in this turn, to the host, and an acknowledgement for it to the guest. */
void streams_flush(void);
/* A pass over all streams, twice a second while there is a reason: trims buffers; true while a TCP timer runs. */
bool streams_tick(void);

/* Prepares for the end of the stack: streams that are not over will be reset. */
void streams_abandon(void);

#endif
