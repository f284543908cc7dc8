/*
 * When the guest is told that its data has come.
 *
 * At the end of the turn, as a rule (streams_flush). But where guest and host take turns with little to say, the host's next data carries
 * the acknowledgement, and a frame a round trip is saved.
 */
#ifndef SLIRP_WASM_ACKNOWLEDGEMENTS_H
#define SLIRP_WASM_ACKNOWLEDGEMENTS_H

#include <stdbool.h>

struct socket;

/* The host has taken what it could of what the guest sent in this turn: whether the acknowledgement is to wait for an answer. */
bool acknowledgement_waits(int fd, struct socket *so);
/* The host has sent something. */
void acknowledgement_note_answer(int fd);
/* Gives the acknowledgements that have waited long enough. */
void acknowledgements_give_due(void);
/* When the next one has, or -1. */
double acknowledgements_due(void);

#endif
