/*
 * File descriptors of the module: what stands between libslirp's socket calls and JavaScript's sockets.
 *
 * A descriptor is a small integer, the same number on both sides. Readiness lies in linear memory: JavaScript ORs bits into
 * `ready` and appends the descriptor to a queue, without a call; one turn of the stack (turn.c) works the queue off. So the
 * cost of an event does not depend on how many descriptors are open.
 */
#ifndef SLIRP_WASM_DESCRIPTORS_H
#define SLIRP_WASM_DESCRIPTORS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct socket;

enum descriptor_kind {
    DESCRIPTOR_FREE = 0,
    DESCRIPTOR_STREAM = 1,
    DESCRIPTOR_LISTENER = 2,
    DESCRIPTOR_DATAGRAM = 3,
    DESCRIPTOR_ECHO = 4,
    DESCRIPTOR_FILE = 5,
};

/* What acknowledgements.c remembers of a stream. */
struct question {
    bool is_open; /* the guest sent a little, at asked_ms, and the host nothing since */
    bool is_listed; /* its acknowledgement may wait */
    uint8_t prompt_answers; /* in a row, up to now */
    uint32_t asked_ms;
};

struct descriptor {
    uint8_t kind;
    uint8_t family;
    bool open; /* JavaScript knows of it */
    bool abort; /* closing it shall look like a reset to the other side */
    bool has_local;
    bool dirty; /* has data to send at the end of the turn (streams.c) */
    struct question question;
    uint8_t connect_error; /* a connect that failed on the spot: told as if it had failed later (connect) */
    struct socket *so; /* found on first use, see descriptor_socket */
    union {
        struct sockaddr_in6 local; /* stream, datagram: where to leave from, when has_local */
        int64_t position; /* file */
    };
};

/* Makes the table; called before anything else. */
void descriptors_init(void);

/* NULL when fd is not open. */
struct descriptor *descriptor_get(int fd);

/* The same, with errno EBADF. */
struct descriptor *descriptor_require(int fd);

/* The way of the C library: errno and -1 for what JavaScript answers as a negative errno. */
int descriptor_result(int answer);

/* A new descriptor, or -1 with errno EMFILE. */
int descriptor_new(enum descriptor_kind kind, int family);

/* The libslirp socket that uses fd, or NULL. */
struct socket *descriptor_socket(int fd);

/* The pending error of a socket, positive, or 0; it is pending no longer. */
int descriptor_take_error(int fd);

/* Forgets which socket uses a descriptor: the socket is being freed. */
void descriptor_forget_socket(const struct socket *so);

/* In ready[fd], beside the readiness bits: fd stands in the queue. JavaScript keeps to it too. */
#define READY_QUEUED 0x80

/* Bits that are set and not yet used up. */
unsigned descriptor_ready(int fd);
void descriptor_clear_ready(int fd, unsigned bits);
void descriptor_set_ready(int fd, unsigned bits);
/* Puts fd into the ready queue if bits are set: what kept the stack from using them is gone. */
void descriptor_requeue(int fd);
/* The next of the queue as it was when the turn began, or -1. */
int descriptor_next_ready(void);
/* Begins to work off the queue. */
void descriptors_begin_turn(void);
/* Something is left in the queue. */
bool descriptors_have_ready(void);

/* How many descriptors may be open at once. JavaScript knows the number too (shared.h). */
enum { DESCRIPTOR_LIMIT = 65536 };

#endif
