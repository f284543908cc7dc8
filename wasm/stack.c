/*
 * The stack: made of a configuration, run by turns, taken down. Everything here but the callbacks is called by JavaScript
 * (exports.json is the list); src/slirp/module-instance.ts has the other side of each call.
 *
 * A turn is all the module does between two waits of the event loop: frames from the guest, descriptors that became ready, what
 * was gathered by both, and timers. Its answer is when the next turn is due though nothing happens.
 */
#include "slirp.h"

#include "acknowledgements.h"
#include "datagrams.h"
#include "descriptors.h"
#include "frames.h"
#include "host.h"
#include "lookup.h"
#include "shared.h"
#include "stack.h"
#include "streams.h"
#include "timers.h"

Slirp *the_slirp;
double now_ms;

enum { TICK_MS = 500 }; /* TCP's slow timer: PR_SLOWHZ is 2 */

static double tick_due = -1; /* -1: no reason to tick */
static double expiry_due = -1;

static int64_t clock_get_ns(void *opaque)
{
    (void)opaque;
    return (int64_t)(now_ms * 1e6);
}

static void guest_error(const char *message, void *opaque)
{
    (void)opaque;
    host_log(GLIB_SHIM_WARNING, message, strlen(message));
}

/* Descriptors announce themselves (descriptors.h), and a turn looks at all that can go on: nothing to do for these. */
static void ignore_descriptor(int fd, void *opaque)
{
    (void)fd, (void)opaque;
}

static void ignore_notify(void *opaque)
{
    (void)opaque;
}

static void ignore_init_completed(Slirp *slirp, void *opaque)
{
    (void)slirp, (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = frames_send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_free = timers_free,
    .timer_mod = timers_modify,
    .register_poll_fd = ignore_descriptor,
    .unregister_poll_fd = ignore_descriptor,
    .notify = ignore_notify,
    .init_completed = ignore_init_completed,
    .timer_new_opaque = timers_new,
};

/* Where JavaScript finds the block that both sides use between calls. */
struct shared_block *stack_shared_block(void)
{
    return &shared;
}

/* Makes the stack; NULL where libslirp refuses the configuration. */
Slirp *stack_create(double now, uint32_t seed_low, uint32_t seed_high)
{
    now_ms = now;
    curtime = (unsigned)(int64_t)now;
    glib_shim_seed(seed_low, seed_high);
    descriptors_init();
    frames_init();
    the_slirp = slirp_new(stack_configuration(), &callbacks, NULL);
    return the_slirp;
}

void stack_destroy(void)
{
    if (the_slirp) {
        streams_flush();
        streams_abandon();
        slirp_cleanup(the_slirp);
        the_slirp = NULL;
    }
}

void stack_loaded(void)
{
    tick_due = now_ms + TICK_MS;
}

/* The resolver is whatever the host network names when the guest asks; libslirp gets an address that stands for it. */
int __wrap_get_dns_addr(struct in_addr *address)
{
    address->s_addr = htonl(NAME_SERVER_ADDRESS);
    return 0;
}

int __wrap_get_dns6_addr(struct in6_addr *address, uint32_t *scope_id)
{
    memcpy(address, NAME_SERVER_ADDRESS6, sizeof(*address));
    *scope_id = 0;
    return 0;
}

/* A guestfwd's command: JavaScript runs it, the stream is its standard input and output. */
int __wrap_fork_exec(struct socket *so, const char *command_line)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        return 0;
    }
    int answer = host_spawn(fd, command_line, strlen(command_line));
    if (answer < 0) {
        close(fd);
        return 0;
    }
    descriptor_get(fd)->open = true;
    so->s = fd;
    return 1;
}

static void drive_ready(void)
{
    int fd;

    descriptors_begin_turn();
    while ((fd = descriptor_next_ready()) >= 0) {
        struct descriptor *descriptor = descriptor_get(fd);
        if (!descriptor || !descriptor_ready(fd)) {
            continue;
        }
        if (!frames_have_output_room()) {
            descriptor_requeue(fd); /* until the NIC takes frames again */
            continue;
        }
        struct socket *so = descriptor_socket(fd);
        if (!so) {
            continue;
        }
        if (descriptor->kind == DESCRIPTOR_STREAM || descriptor->kind == DESCRIPTOR_LISTENER) {
            stream_drive(fd, so);
        } else {
            datagram_drive(fd, so);
        }
    }
}

/*
 * The same by libslirp's own walk over every socket: for measuring what drive_ready saves (bench/benches/idle-connections.mjs), and for
 * whoever wants to compare behaviour.
 */
enum { POLL_BITS = 5, WALK_ROOM_BYTES = 16 * 1024 };

/* The index that libslirp keeps says what it asked for, too: it acts on whatever it is answered. */
static int add_poll(int fd, int events, void *opaque)
{
    (void)opaque;
    return fd << POLL_BITS | events;
}

static int get_revents(int index, void *opaque)
{
    (void)opaque;
    int fd = index >> POLL_BITS;
    int ready = descriptor_ready(fd) & index & ~SLIRP_POLL_HUP;
    struct socket *so = ready & SLIRP_POLL_IN ? descriptor_socket(fd) : NULL;
    if (so && descriptor_get(fd)->kind == DESCRIPTOR_STREAM) {
        sb_grow(&so->so_snd, WALK_ROOM_BYTES); /* it reads into the room that there is */
    }
    return ready;
}

static void drive_by_walk(void)
{
    uint32_t timeout = UINT32_MAX;

    descriptors_begin_turn();
    while (descriptor_next_ready() >= 0) {
    }
    slirp_pollfds_fill(the_slirp, &timeout, add_poll, NULL);
    slirp_pollfds_poll(the_slirp, 0, get_revents, NULL);
}

static bool has_reassembly(void)
{
    return the_slirp->ipq.ip_link.next != &the_slirp->ipq.ip_link;
}

static bool has_waiting_frames(void)
{
    return the_slirp->if_fastq.qh_link != &the_slirp->if_fastq || the_slirp->if_batchq.qh_link != &the_slirp->if_batchq;
}

/* if_start takes one frame a socket from those that waited for a neighbour's address: call it for as long as frames leave. */
static void send_waiting_frames(void)
{
    uint32_t sent;

    do {
        if (!has_waiting_frames()) {
            return;
        }
        sent = frames_sent();
        if_start(the_slirp);
    } while (frames_sent() != sent);
}

static void run_timers(void)
{
    if (tick_due >= 0 && now_ms >= tick_due) {
        ip_slowtimo(the_slirp);
        bool running = streams_tick();
        tick_due = running || has_reassembly() || has_waiting_frames() ? now_ms + TICK_MS : -1;
    }
    if (expiry_due >= 0 && now_ms >= expiry_due) {
        uint32_t left = datagrams_expire();
        expiry_due = left == UINT32_MAX ? -1 : now_ms + MAX(left, TICK_MS);
    }
    acknowledgements_give_due();
    timers_run();
}

static double earlier(double a, double b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

/* What happened in the turn may have given reason to tick or expire; an idle stack has none. */
static double arm_timers(bool busy)
{
    if (busy && tick_due < 0) {
        tick_due = now_ms + TICK_MS;
    }
    bool has_datagrams = the_slirp->udb.so_next != &the_slirp->udb || the_slirp->icmp.so_next != &the_slirp->icmp;
    if (busy && expiry_due < 0 && has_datagrams) {
        expiry_due = now_ms + TICK_MS;
    }
    return earlier(earlier(tick_due, expiry_due), acknowledgements_due());
}

/*
 * One turn at `now` (milliseconds, monotonic). Answers when the next one is due, or -1. Router advertisements are told apart
 * (stack_advertisement_due), for they are no reason to keep a process alive.
 */
static double run_turn(double now, void (*drive)(void))
{
    now_ms = now;
    curtime = (unsigned)(int64_t)now;
    bool busy = shared.input_used || descriptors_have_ready();
    the_slirp->last_slowtimo = curtime;

    streams_begin_input();
    frames_input();
    drive();
    streams_flush();
    run_timers();
    send_waiting_frames();
    return arm_timers(busy);
}

double stack_turn(double now)
{
    return run_turn(now, drive_ready);
}

double stack_turn_by_walk(double now)
{
    return run_turn(now, drive_by_walk);
}

double stack_advertisement_due(void)
{
    return timers_due();
}

/* More to do though nothing happened: descriptors were put back for want of room, or for the sake of others. */
int stack_has_more(void)
{
    return descriptors_have_ready() && frames_have_output_room();
}
