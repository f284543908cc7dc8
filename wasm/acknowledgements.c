/* See acknowledgements.h. */
#include "slirp.h"

#include "acknowledgements.h"
#include "descriptors.h"
#include "stack.h"

/*
 * Where guest and host take turns with little to say, the host's next data carries the acknowledgement, and a frame a round trip is
 * saved. A guest with Nagle's algorithm may wait for just that acknowledgement, so it is kept back on connections only whose last
 * questions were each answered in time, one behind the other; the first late answer ends that until as many were prompt again.
 */
enum {
    ACK_DELAY_MS = 5,
    PROMPT_ANSWERS = 4,
    QUESTION_BYTES = 4096, /* more than that is a transfer, which acknowledgements keep going */
    DELAYED_LIMIT = 1024,  /* who finds the list full is acknowledged at once */
};

/* Descriptors whose acknowledgement may be kept back. An answer leaves its entry here, for the next question. */
static int delayed[DELAYED_LIMIT];
static int delayed_count;
static double delayed_due = -1;

static bool is_acknowledged(const struct tcpcb *tp)
{
    return tp->last_ack_sent == tp->rcv_nxt;
}

void acknowledgement_note_answer(int fd)
{
    struct descriptor *descriptor = descriptor_get(fd);

    if (!descriptor || !descriptor->question.is_open) {
        return;
    }
    struct question *question = &descriptor->question;
    question->is_open = false;
    if (curtime - question->asked_ms > ACK_DELAY_MS) {
        question->prompt_answers = 0;
    } else if (question->prompt_answers < PROMPT_ANSWERS) {
        question->prompt_answers++;
    }
}

static bool is_question(const struct question *question, const struct socket *so, uint32_t news)
{
    struct tcpcb *tp = so->so_tcpcb;

    return !question->is_open && news < MIN(tp->t_maxseg, QUESTION_BYTES) && so->so_rcv.sb_cc == 0 &&
           tp->t_state == TCPS_ESTABLISHED && tcpfrag_list_empty(tp);
}

/* Answers false when there are too many. */
static bool list(int fd, struct question *question)
{
    if (!question->is_listed) {
        if (delayed_count == DELAYED_LIMIT) {
            return false;
        }
        question->is_listed = true;
        delayed[delayed_count++] = fd;
    }
    delayed_due = delayed_due < 0 ? now_ms + ACK_DELAY_MS : delayed_due;
    return true;
}

bool acknowledgement_waits(int fd, struct socket *so)
{
    struct descriptor *descriptor = descriptor_get(fd);
    struct tcpcb *tp = so->so_tcpcb;
    uint32_t news = tp->rcv_nxt - tp->last_ack_sent;

    if (!descriptor || news == 0) {
        return false; /* acknowledged by data in this turn, or sent before: that says the guest missed the acknowledgement */
    }
    struct question *question = &descriptor->question;
    question->is_open = is_question(question, so, news);
    if (!question->is_open) {
        question->prompt_answers = 0;
        return false;
    }
    question->asked_ms = curtime;
    if (question->prompt_answers < PROMPT_ANSWERS || !list(fd, question)) {
        return false;
    }
    tp->t_flags &= ~TF_ACKNOW;
    return true;
}

/* Gives it if it is due. Answers how many milliseconds it is still to wait, or 0. */
static uint32_t give_if_due(int fd, struct question *question)
{
    struct socket *so = descriptor_socket(fd);
    uint32_t waited_ms = curtime - question->asked_ms;

    if (!so || !so->so_tcpcb || is_acknowledged(so->so_tcpcb)) {
        return 0;
    }
    if (waited_ms < ACK_DELAY_MS) {
        return ACK_DELAY_MS - waited_ms;
    }
    question->prompt_answers = 0;
    so->so_tcpcb->t_flags |= TF_ACKNOW;
    tcp_output(so->so_tcpcb);
    return 0;
}

void acknowledgements_give_due(void)
{
    int kept = 0;
    uint32_t next_ms = ACK_DELAY_MS;

    if (delayed_due < 0 || now_ms < delayed_due) {
        return;
    }
    for (int i = 0; i < delayed_count; i++) {
        int fd = delayed[i];
        struct descriptor *descriptor = descriptor_get(fd);
        if (!descriptor || !descriptor->question.is_listed) {
            continue; /* closed since */
        }
        uint32_t left_ms = give_if_due(fd, &descriptor->question);
        if (left_ms > 0) {
            delayed[kept++] = fd;
            next_ms = MIN(next_ms, left_ms);
        } else {
            descriptor->question.is_listed = false;
        }
    }
    delayed_count = kept;
    delayed_due = kept > 0 ? now_ms + next_ms : -1;
}

double acknowledgements_due(void)
{
    return delayed_due;
}
