/* See descriptors.h. */
#include "slirp.h"

#include "descriptors.h"
#include "host.h"
#include "shared.h"
#include "stack.h"

enum { FIRST_DESCRIPTOR = 3 }; /* 0 to 2 are the C library's */

static struct descriptor *table;
static int table_size;
static int *free_list; /* a stack of descriptors that were closed */
static int free_count;
static int next_fd = FIRST_DESCRIPTOR;

/* Sized for the limit at once, so that their addresses never change: pages that are not touched cost nothing. */
static uint8_t ready[DESCRIPTOR_LIMIT];
static uint32_t queue[2 * DESCRIPTOR_LIMIT]; /* a descriptor can stand in what a turn works off and, again, behind it */
static uint32_t turn_count; /* entries of the queue that this turn works off */
static uint32_t turn_next;

struct shared_block shared;

void descriptors_init(void)
{
    shared.ready = (uint32_t)(uintptr_t)ready;
    shared.ready_queue = (uint32_t)(uintptr_t)queue;
}

struct descriptor *descriptor_get(int fd)
{
    if (fd < FIRST_DESCRIPTOR || fd >= table_size || table[fd].kind == DESCRIPTOR_FREE) {
        return NULL;
    }
    return &table[fd];
}

struct descriptor *descriptor_require(int fd)
{
    struct descriptor *descriptor = descriptor_get(fd);
    if (!descriptor) {
        errno = EBADF;
    }
    return descriptor;
}

int descriptor_result(int answer)
{
    if (answer < 0) {
        errno = -answer;
        return -1;
    }
    return answer;
}

static void grow_table(void)
{
    int size = MAX(64, table_size * 2);
    table = g_realloc(table, size * sizeof(*table));
    free_list = g_realloc(free_list, size * sizeof(*free_list));
    memset(table + table_size, 0, (size - table_size) * sizeof(*table));
    table_size = size;
}

int descriptor_new(enum descriptor_kind kind, int family)
{
    int fd;

    if (free_count) {
        fd = free_list[--free_count];
    } else if (next_fd < DESCRIPTOR_LIMIT) {
        fd = next_fd++;
        if (fd >= table_size) {
            grow_table();
        }
    } else {
        errno = EMFILE;
        return -1;
    }
    memset(&table[fd], 0, sizeof(table[fd]));
    table[fd].kind = kind;
    table[fd].family = family;
    return fd;
}

static struct socket *find_in_list(struct socket *head, int fd)
{
    for (struct socket *so = head->so_next; so != head; so = so->so_next) {
        if (so->s == fd) {
            return so;
        }
    }
    return NULL;
}

struct socket *descriptor_socket(int fd)
{
    struct descriptor *descriptor = descriptor_get(fd);
    if (!descriptor) {
        return NULL;
    }
    if (!descriptor->so || descriptor->so->s != fd) {
        /* Once in a descriptor's life. New sockets stand at the front of their list, so the search is short. */
        struct socket *head = descriptor->kind == DESCRIPTOR_ECHO     ? &the_slirp->icmp :
                              descriptor->kind == DESCRIPTOR_DATAGRAM ? &the_slirp->udb :
                                                                        &the_slirp->tcb;
        descriptor->so = find_in_list(head, fd);
    }
    return descriptor->so;
}

void descriptor_forget_socket(const struct socket *so)
{
    struct descriptor *descriptor = descriptor_get(so->s);
    if (descriptor && descriptor->so == so) {
        descriptor->so = NULL;
    }
}

int descriptor_take_error(int fd)
{
    struct descriptor *descriptor = &table[fd];
    int error = descriptor->connect_error;
    descriptor->connect_error = 0;
    return error ? error : descriptor->open ? host_take_error(fd) : 0;
}

unsigned descriptor_ready(int fd)
{
    return ready[fd] & ~READY_QUEUED;
}

void descriptor_clear_ready(int fd, unsigned bits)
{
    ready[fd] &= ~bits;
}

void descriptor_set_ready(int fd, unsigned bits)
{
    ready[fd] |= bits;
    descriptor_requeue(fd);
}

void descriptor_requeue(int fd)
{
    if (descriptor_get(fd) && ready[fd] && !(ready[fd] & READY_QUEUED)) {
        ready[fd] |= READY_QUEUED;
        queue[shared.ready_count++] = fd;
    }
}

void descriptors_begin_turn(void)
{
    turn_next = 0;
    turn_count = shared.ready_count;
}

/* What the turn itself puts back goes behind turn_count and is moved to the front when the turn ends. */
int descriptor_next_ready(void)
{
    if (turn_next == turn_count) {
        uint32_t left = shared.ready_count - turn_count;
        memmove(queue, queue + turn_count, left * sizeof(*queue));
        shared.ready_count = left;
        turn_count = turn_next = 0;
        return -1;
    }
    int fd = queue[turn_next++];
    ready[fd] &= ~READY_QUEUED;
    return fd;
}

bool descriptors_have_ready(void)
{
    return shared.ready_count > 0;
}

int close(int fd)
{
    struct descriptor *descriptor = descriptor_get(fd);
    if (!descriptor) {
        errno = EBADF;
        return -1;
    }
    if (descriptor->open) {
        host_close(fd, descriptor->abort);
    }
    descriptor->kind = DESCRIPTOR_FREE;
    descriptor->so = NULL;
    ready[fd] &= READY_QUEUED; /* the number may still stand in the queue; the next socket of that number is told nothing */
    free_list[free_count++] = fd;
    return 0;
}
