/* Messages by a descriptor that moves one a system call: a TAP, a netlink socket. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port.h"

static int wanted_events(const struct port *port)
{
    return (port->reading ? UV_READABLE : 0) | (port->waiting_to_write ? UV_WRITABLE : 0);
}

static void on_events(struct port *port, int events)
{
    if (events & UV_WRITABLE) {
        port->waiting_to_write = false;
        update_poll(port);
        emit(port, EVENT_WRITABLE, 0);
    }
    if (events & UV_READABLE)
        read_turn(port);
}

static int find_error(struct port *port)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(port->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0)
        return error;
    /* Of a TAP this takes no frame. */
    uint8_t nothing;
    ssize_t got = read(port->fd, &nothing, 0);
    return got < 0 && errno != EAGAIN ? errno : EIO;
}

static bool read_one(struct port *port, struct batch *batch)
{
    uint8_t header[MAX_HEADER];
    size_t start = batch->used + port->nic_header;
    /* One more than the longest: a message that fills it has been cut off by the kernel. */
    if (start + MAX_FRAME + 1 > batch->capacity)
        return false;
    struct iovec pieces[2] = {{header, port->kernel_header}, {batch->bytes + start, MAX_FRAME + 1}};
    ssize_t got;
    do
        got = readv(port->fd, pieces, 2);
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
        batch->drained = true;
        /* A socket's other end is closed; a TAP has no such thing. */
        batch->error = got == 0 ? EPIPE : errno == EAGAIN ? 0 : errno;
        return false;
    }
    size_t length = (size_t)got < port->kernel_header ? 0 : (size_t)got - port->kernel_header;
    if (is_readable(port, length, header))
        note_message(port, batch, header, length);
    else
        port->unreadable++;
    return true;
}

static enum status write_one(struct port *port, const uint8_t *header, struct iovec *pieces, int count, size_t length, int *error)
{
    (void)length;
    /* The kernel reads no num_buffers, but wants the bytes. */
    uint8_t whole[MAX_HEADER] = {0};
    memcpy(whole, header, KERNEL_HEADER);
    pieces[0] = (struct iovec){whole, port->kernel_header};
    ssize_t written;
    do
        written = writev(port->fd, pieces, count + 1);
    while (written < 0 && errno == EINTR);
    if (written >= 0)
        return STATUS_TAKEN;
    if (errno == EAGAIN)
        return STATUS_MUST_WAIT;
    *error = errno;
    return STATUS_DROPPED;
}

static void do_nothing(struct port *port)
{
    /* Each message is its own system call, what waits is the kernel's, and the event loop tells of it again and again. */
    (void)port;
}

static bool always(struct port *port)
{
    (void)port;
    return true;
}

static uint32_t none(struct port *port)
{
    (void)port;
    return 0;
}

const struct transport DESCRIPTOR_TRANSPORT = {
    .wanted_events = wanted_events,
    .on_events = on_events,
    .find_error = find_error,
    .read_one = read_one,
    .end_batch = do_nothing,
    .sleep = always,
    .postpone = do_nothing,
    .write_one = write_one,
    .drain = none,
    .discard = do_nothing,
    .close = do_nothing,
};
