/*
 * TCP between libslirp's control blocks and the host network's streams.
 *
 * libslirp walks all its sockets for every event (slirp_pollfds_fill and _poll). Here only those are touched that have
 * something to do: JavaScript names the descriptors that became ready, and the guest's frames mark the streams that got data.
 * What the walk decided for each socket stands below, once for reading, once for writing and once for connecting.
 *
 * From the guest: tcp_input appends to so_rcv and marks the stream; at the end of the turn all of it goes out in one write
 * (one call to JavaScript), and one acknowledgement back. Towards the guest: what the host has is read straight into so_snd
 * and sent, until the host has no more or so_snd is half full; then sodrop, as the guest acknowledges, calls for more.
 */
#include "slirp.h"

#include "acknowledgements.h"
#include "connecting.h"
#include "descriptors.h"
#include "frames.h"
#include "host.h"
#include "segments.h"
#include "stack.h"
#include "streams.h"
#include "window-scale.h"

/* Descriptors with data to send or an acknowledgement to give, each once. */
static int dirty[DESCRIPTOR_LIMIT];
static int dirty_count;

enum { READ_ROOM_BYTES = 16 * 1024 }; /* least room to read into; grows with what comes */

#define CAN_SEND(so) (((so)->so_state & (SS_FCANTSENDMORE | SS_ISFCONNECTED)) == SS_ISFCONNECTED)
#define CAN_RECEIVE(so) (((so)->so_state & (SS_FCANTRCVMORE | SS_ISFCONNECTED)) == SS_ISFCONNECTED)

int __real_sowrite(struct socket *so);
int __real_tcp_ctl(struct socket *so);
void __real_soisfconnected(struct socket *so);
struct tcpcb *__real_tcp_close(struct tcpcb *tp);
struct tcpcb *__real_tcp_drop(struct tcpcb *tp, int error);

/* From streams_begin_input to streams_flush. */
static bool gathering;

static void mark_dirty(int fd, struct descriptor *descriptor)
{
    if (!descriptor->dirty) {
        descriptor->dirty = true;
        dirty[dirty_count++] = fd;
    }
}

void streams_begin_input(void)
{
    gathering = true;
}

/*
 * tcp_input acknowledges each segment that comes in order, at once. A turn brings many, and one acknowledgement at its end says
 * the same; every frame saved is an interrupt saved in the guest. What is not just that goes out at once: data that can be sent,
 * and the duplicate acknowledgements that a gap calls for (RFC 5681 3.2).
 */
int __wrap_tcp_output(struct tcpcb *tp)
{
    struct socket *so = tp->t_socket;
    struct descriptor *descriptor = gathering ? descriptor_get(so->s) : NULL;
    bool all_sent = so->so_snd.sb_cc == tp->snd_nxt - tp->snd_una;

    if (descriptor && tp->t_state == TCPS_ESTABLISHED && (tp->t_flags & TF_ACKNOW) && all_sent && tcpfrag_list_empty(tp)) {
        mark_dirty(so->s, descriptor);
        return 0;
    }
    return window_scale_output(tp, segments_output);
}

void stream_has_data_to_send(struct socket *so)
{
    if (so->s == -1) {
        if (so->guestfwd) {
            __real_sowrite(so); /* a callback, not a socket: it takes everything at once */
        }
        return;
    }
    struct descriptor *descriptor = descriptor_get(so->s);
    if (!descriptor) {
        return;
    }
    mark_dirty(so->s, descriptor);
}

/* sowrite with both halves of the ring in one call. It keeps sowrite's bargain: 0 for "later", -1 for a socket that is gone. */
int __wrap_sowrite(struct socket *so)
{
    struct sbuf *ring = &so->so_rcv;
    const char *first, *second;
    uint32_t first_length, second_length;

    if (so->so_urgc || so->s == -1 || !ring->sb_cc) {
        return __real_sowrite(so);
    }
    sb_pieces(ring, &first, &first_length, &second, &second_length);
    int sent = host_send(so->s, first, first_length, second, second_length);
    if (sent == -EAGAIN || sent == -ENOTCONN || sent == 0) {
        /* ENOTCONN: a forward to a unix socket that libslirp takes for connected, and is not yet. */
        descriptor_clear_ready(so->s, SLIRP_POLL_OUT);
        return 0;
    }
    if (sent < 0) {
        /* libslirp would end the stream in good order here; but what the guest sent is lost, and RST says so. */
        tcp_drop(sototcpcb(so), -sent);
        return -1;
    }
    sbdrop(ring, sent);
    if ((so->so_state & SS_FWDRAIN) && ring->sb_cc == 0) {
        sofwdrain(so);
    }
    return sent;
}

/*
 * One acknowledgement a turn for whoever has sent something, at once unless an answer is likely to carry it: the guest's window is all that
 * holds it back, and a segment may be as large as that (RFC 5681 4.2 allows to wait, it does not ask for it).
 */
void streams_flush(void)
{
    gathering = false;
    for (int i = 0; i < dirty_count; i++) {
        struct descriptor *descriptor = descriptor_get(dirty[i]);
        if (!descriptor || !descriptor->dirty) {
            continue; /* closed in this turn */
        }
        descriptor->dirty = false;
        struct socket *so = descriptor_socket(dirty[i]);
        if (!so || !so->so_tcpcb) {
            continue;
        }
        if (CAN_SEND(so) && so->so_rcv.sb_cc && __wrap_sowrite(so) < 0) {
            continue; /* the socket may be gone */
        }
        if (acknowledgement_waits(dirty[i], so)) {
            continue;
        }
        so->so_tcpcb->t_flags |= TF_ACKNOW;
        tcp_output(so->so_tcpcb);
    }
    dirty_count = 0;
}

/*
 * The guest acknowledged: when that makes room, what the host has waiting is read.
 *
 * Duplicate acknowledgements are counted anew from here (RFC 5681 3.2). libslirp forgets that on its fast path, so that any three in the
 * life of a connection pass for a lost segment.
 */
void __wrap_sodrop(struct socket *so, int length)
{
    sototcpcb(so)->t_dupacks = 0;
    window_scale_acknowledged(sototcpcb(so), length);
    so->so_snd.sb_through += length;
    if (sbdrop(&so->so_snd, length)) {
        descriptor_requeue(so->s);
        so->slirp->cb->notify(so->slirp->opaque);
    }
}

enum { INITIAL_WINDOW_BYTES = 14600 };

/*
 * The guest has answered the handshake: what the host sent meanwhile can be read now. libslirp begins with one segment in flight, so that
 * a small answer takes several round trips and its loss is noticed by a timer only; RFC 6928 says ten.
 */
void __wrap_soisfconnected(struct socket *so)
{
    struct tcpcb *tp = sototcpcb(so);

    if (tp && tp->t_state >= TCPS_SYN_SENT) {
        uint32_t segment = tp->t_maxseg;
        window_scale_learn_current(tp); /* by the SYN-ACK, where the host began */
        tp->snd_cwnd = MAX(tp->snd_cwnd, MIN(10 * segment, MAX(2 * segment, INITIAL_WINDOW_BYTES)));
    }
    __real_soisfconnected(so);
    descriptor_requeue(so->s);
}

/* Answers false when the socket may be gone. */
static bool read_all(int fd, struct socket *so)
{
    while (CAN_RECEIVE(so) && so->so_snd.sb_cc < so->so_snd.sb_limit / 2 && descriptor_ready(fd) &&
           frames_have_output_room()) {
        uint32_t room = sb_grow(&so->so_snd, READ_ROOM_BYTES);
        uint32_t read = soread(so);
        if ((int)read < 0) {
            return false;
        }
        if (read == 0) {
            break; /* the host had no more: recv has cleared the bit */
        }
        acknowledgement_note_answer(fd);
        tcp_output(sototcpcb(so));
        if (read + sototcpcb(so)->t_maxseg > room) {
            sb_grow(&so->so_snd, room * 2); /* there may be more: read it in fewer pieces */
        }
    }
    return true;
}

enum { WINDOW_UPDATE_BYTES = 32 * 1024 };

/*
 * The host took bytes: tell the guest when its window opens by two segments, or by half of what a window can be. libslirp waits for
 * half of the buffer, which with large segments is more than a window can ever open by: a window that closed stays closed until the
 * guest asks (RFC 9293 3.8.6.2.2 wants the lesser of a segment and half the buffer).
 */
static void update_window(struct socket *so)
{
    struct tcpcb *tp = sototcpcb(so);
    int32_t open = MIN(sbspace(&so->so_rcv), (uint32_t)TCP_MAXWIN << tp->rcv_scale);
    int32_t told = (int32_t)(tp->rcv_adv - tp->rcv_nxt);

    if (open - told >= MIN(2 * (int32_t)tp->t_maxseg, WINDOW_UPDATE_BYTES)) {
        tp->t_flags |= TF_ACKNOW;
    }
    tcp_output(tp);
}

void stream_drive(int fd, struct socket *so)
{
    if (so->so_state & SS_FACCEPTCONN) {
        /* accept clears the bit when there is none left. */
        while (frames_have_output_room() && (descriptor_ready(fd) & (SLIRP_POLL_IN | SLIRP_POLL_ERR))) {
            tcp_connect(so);
        }
        return;
    }
    if (so->so_state & SS_ISFCONNECTING) {
        if (!(descriptor_ready(fd) & (SLIRP_POLL_OUT | SLIRP_POLL_ERR | SLIRP_POLL_HUP))) {
            return;
        }
        connecting_finish(fd, so);
        so = descriptor_socket(fd);
    }
    if (!so || !so->so_tcpcb || (so->so_state & SS_NOFDREF)) {
        return;
    }
    if ((descriptor_ready(fd) & SLIRP_POLL_ERR) && (so->so_state & SS_FCANTRCVMORE)) {
        tcp_drop(sototcpcb(so), ECONNRESET); /* after the host's FIN there is no read that would tell */
        return;
    }
    if ((descriptor_ready(fd) & ~SLIRP_POLL_OUT) && !read_all(fd, so)) {
        return;
    }
    so = descriptor_socket(fd);
    if (so && (descriptor_ready(fd) & SLIRP_POLL_OUT) && CAN_SEND(so) && so->so_rcv.sb_cc && __wrap_sowrite(so) > 0) {
        update_window(so);
    }
}

static bool has_running_timer(const struct tcpcb *tp)
{
    return tp->t_timer[TCPT_REXMT] || tp->t_timer[TCPT_PERSIST] || tp->t_timer[TCPT_2MSL] || tp->t_rtt ||
           (tp->t_timer[TCPT_KEEP] && tp->t_state < TCPS_ESTABLISHED);
}

bool streams_tick(void)
{
    bool running = false;

    tcp_slowtimo(the_slirp);
    for (struct socket *so = the_slirp->tcb.so_next; so != &the_slirp->tcb; so = so->so_next) {
        running |= so->so_snd.sb_data || so->so_rcv.sb_data;
        running |= so->so_tcpcb && !(so->so_state & SS_FACCEPTCONN) && has_running_timer(so->so_tcpcb);
        sb_trim(&so->so_snd);
        sb_trim(&so->so_rcv);
    }
    return running;
}

/* tcp_ctl writes an error text straight into so_snd. */
int __wrap_tcp_ctl(struct socket *so)
{
    sb_grow(&so->so_snd, 64);
    return __real_tcp_ctl(so);
}

/*
 * The guest's RST: libslirp closes the host's socket as if all were well, and the host would see an orderly end of a stream that
 * was cut off. tcp_input sets this state before it closes for RST, and for nothing else that the host has heard of.
 */
struct tcpcb *__wrap_tcp_close(struct tcpcb *tp)
{
    struct descriptor *descriptor = descriptor_get(tp->t_socket->s);
    if (descriptor && tp->t_state == TCPS_CLOSED) {
        descriptor->abort = true;
    }
    return __real_tcp_close(tp);
}

/*
 * The stack ends. Who has had the guest's FIN is told nothing else, and what the guest had sent him still goes out; the others see
 * their stream cut off.
 */
void streams_abandon(void)
{
    for (struct socket *so = the_slirp->tcb.so_next; so != &the_slirp->tcb; so = so->so_next) {
        struct descriptor *descriptor = descriptor_get(so->s);
        int state = so->so_tcpcb ? so->so_tcpcb->t_state : TCPS_CLOSED;
        if (descriptor && (state == TCPS_SYN_RECEIVED || state == TCPS_ESTABLISHED || state == TCPS_FIN_WAIT_1 ||
                           state == TCPS_FIN_WAIT_2)) {
            descriptor->abort = true;
        }
    }
}

/* A connection given up (retransmission, keep-alive): the host is told so. */
struct tcpcb *__wrap_tcp_drop(struct tcpcb *tp, int error)
{
    struct descriptor *descriptor = descriptor_get(tp->t_socket->s);
    if (descriptor) {
        descriptor->abort = true;
    }
    return __real_tcp_drop(tp, error);
}
