#include "frame-port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "throw.h"

/* An Ethernet header: no frame is shorter. */
#define ETHERNET_HEADER 14
/* The longest IP packet behind an Ethernet header with a VLAN tag. */
#define MAX_FRAME (65535 + ETHERNET_HEADER + 4)
/* The part of the virtio-net header that the kernel reads and writes; num_buffers behind it is ours. */
#define KERNEL_HEADER 10
/* The longest header that a TAP can be given (virtio-net with hash report). */
#define MAX_HEADER 20
/* Batches a turn: some hundred small frames, after which others on the event loop have theirs. */
#define BATCHES_A_TURN 4
/* Pieces of a gathered frame that need no copying. */
#define MAX_PIECES 64

enum event { EVENT_FRAMES, EVENT_WRITABLE, EVENT_FAILED };
enum status { STATUS_TAKEN, STATUS_DROPPED, STATUS_MUST_WAIT };
/* What `answers` has where. */
enum answer { ANSWER_CONSUMED, ANSWER_DROPPED, ANSWER_ERRNO, ANSWER_BYTES, ANSWER_UNREADABLE, ANSWER_COUNT };

enum array { ARRAY_BYTES, ARRAY_OFFSETS, ARRAY_LENGTHS, ARRAY_ANSWERS, ARRAY_COUNT };

struct port {
    uv_poll_t poll;
    napi_env env;
    napi_ref self, callback, arrays[ARRAY_COUNT];
    napi_async_context context;
    napi_async_cleanup_hook_handle hook;
    int fd;
    /* One for the JavaScript object, one for the handle in the event loop. */
    int references;
    bool closed, reading, waiting_to_write;
    /* Header before a message in the kernel's memory, and in JavaScript's. */
    uint32_t kernel_header, nic_header;
    bool big_endian;
    /* Whether messages are frames, which are never shorter than ETHERNET_HEADER. */
    bool ethernet;
    uint32_t unreadable;
    /* Where answers go when JavaScript gave its array away. */
    uint32_t nowhere[ANSWER_COUNT];
};

static const napi_type_tag PORT_TAG = {0x6c1d0f0e7a9f4a51, 0x9b0e5d2c41b8e7f3};

static napi_typedarray_type array_type(enum array which)
{
    return which == ARRAY_BYTES ? napi_uint8_array : napi_uint32_array;
}

static bool own_view(struct port *port, enum array which, struct view *view)
{
    napi_value value;
    return napi_get_reference_value(port->env, port->arrays[which], &value) == napi_ok && value != NULL &&
           view_of(port->env, value, array_type(which), view);
}

static uint32_t *answers_of(struct port *port)
{
    struct view view;
    return own_view(port, ARRAY_ANSWERS, &view) && view.length >= ANSWER_COUNT ? view.data : port->nowhere;
}

static void release(struct port *port)
{
    if (--port->references == 0)
        free(port);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct port *port = handle->data;
    napi_remove_async_cleanup_hook(port->hook);
    release(port);
}

/* Ends everything but the memory, which goes when the handle and the JavaScript object are both gone. */
static void close_port(struct port *port, bool keep_descriptor)
{
    if (port->closed)
        return;
    port->closed = true;
    port->reading = false;
    port->waiting_to_write = false;
    uv_poll_stop(&port->poll);
    uv_close((uv_handle_t *)&port->poll, on_handle_closed);
    if (!keep_descriptor)
        close(port->fd);
    port->fd = -1;
    napi_async_destroy(port->env, port->context);
    napi_delete_reference(port->env, port->callback);
    for (int i = 0; i < ARRAY_COUNT; i++)
        napi_delete_reference(port->env, port->arrays[i]);
    /* Last: from here on the object may be collected. */
    napi_delete_reference(port->env, port->self);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data)
{
    (void)hook;
    close_port(data, false);
}

static void on_collected(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    release(data);
}

static void on_poll(uv_poll_t *handle, int status, int events);

/* Has the event loop watch for what is wanted now. */
static void update_poll(struct port *port)
{
    if (port->closed)
        return;
    int events = (port->reading ? UV_READABLE : 0) | (port->waiting_to_write ? UV_WRITABLE : 0);
    if (events == 0)
        uv_poll_stop(&port->poll);
    else
        uv_poll_start(&port->poll, events, on_poll);
}

/* Calls JavaScript from the event loop. */
static void emit(struct port *port, enum event event, int32_t value)
{
    napi_env env = port->env;
    napi_value self, callback, arguments[2];
    if (napi_get_reference_value(env, port->self, &self) != napi_ok ||
        napi_get_reference_value(env, port->callback, &callback) != napi_ok ||
        napi_create_int32(env, event, &arguments[0]) != napi_ok ||
        napi_create_int32(env, value, &arguments[1]) != napi_ok)
        return;
    if (napi_make_callback(env, port->context, self, callback, 2, arguments, NULL) == napi_ok)
        return;
    /* It threw: as for any other callback of Node, that is an uncaught exception. A worker being terminated throws nothing. */
    bool pending = false;
    napi_value error;
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error);
}

static void fail(struct port *port, int error)
{
    port->reading = false;
    port->waiting_to_write = false;
    update_poll(port);
    emit(port, EVENT_FAILED, error);
}

/* Puts the header that JavaScript is to see before a frame. */
static void write_nic_header(const struct port *port, const uint8_t *kernel_header, uint8_t *target)
{
    memset(target, 0, port->nic_header);
    if (port->kernel_header > 0)
        memcpy(target, kernel_header, KERNEL_HEADER);
    /* num_buffers: the kernel leaves it alone, and the frame lies in one piece. */
    if (port->nic_header >= 12)
        target[port->big_endian ? 11 : 10] = 1;
}

/* Whether a frame without header says all: with a checksum that is not finished, or as a super-frame, it does not. */
static bool is_plain(const struct port *port, const uint8_t *kernel_header)
{
    return port->kernel_header == 0 || ((kernel_header[0] & 1) == 0 && kernel_header[1] == 0);
}

struct batch {
    uint8_t *bytes;
    size_t capacity;
    uint32_t *offsets, *lengths;
    size_t limit, count, used;
    /* Nothing more is there; the error, where that is the reason. */
    bool drained;
    int error;
};

/* One message behind the others; false where there is none, or no room for the longest. */
static bool read_one(struct port *port, struct batch *batch)
{
    uint8_t header[MAX_HEADER];
    size_t start = batch->used + port->nic_header;
    /* One more than the longest: a message that fills it has been cut off by the kernel. */
    if (batch->count == batch->limit || start + MAX_FRAME + 1 > batch->capacity)
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
    size_t length = (size_t)got - port->kernel_header;
    size_t shortest = port->ethernet ? ETHERNET_HEADER : 1;
    if ((size_t)got < port->kernel_header + shortest || length > MAX_FRAME ||
        (port->nic_header == 0 && !is_plain(port, header))) {
        port->unreadable++;
        return true;
    }
    if (port->nic_header > 0)
        write_nic_header(port, header, batch->bytes + batch->used);
    batch->offsets[batch->count] = (uint32_t)batch->used;
    batch->lengths[batch->count] = (uint32_t)length + port->nic_header;
    batch->count++;
    /* Frames begin at multiples of 8, which is what copying and summing them likes. */
    batch->used = (start + length + 7) & ~(size_t)7;
    return true;
}

/* Reads a batch into these arrays; false, and an error of the batch, where they are no longer what they were. */
static bool read_batch(struct port *port, struct batch *batch, struct view views[3])
{
    *batch = (struct batch){
        .bytes = views[ARRAY_BYTES].data,
        .capacity = views[ARRAY_BYTES].length,
        .offsets = views[ARRAY_OFFSETS].data,
        .lengths = views[ARRAY_LENGTHS].data,
        .limit = views[ARRAY_OFFSETS].length < views[ARRAY_LENGTHS].length ? views[ARRAY_OFFSETS].length
                                                                           : views[ARRAY_LENGTHS].length,
    };
    if (batch->limit == 0 || batch->capacity < port->nic_header + MAX_FRAME + 1) {
        batch->error = EFAULT;
        return false;
    }
    while (read_one(port, batch))
        continue;
    answers_of(port)[ANSWER_UNREADABLE] = port->unreadable;
    return true;
}

static void read_turn(struct port *port)
{
    for (int i = 0; i < BATCHES_A_TURN && port->reading; i++) {
        struct view views[3] = {0};
        struct batch batch;
        for (enum array which = ARRAY_BYTES; which <= ARRAY_LENGTHS; which++)
            own_view(port, which, &views[which]);
        read_batch(port, &batch, views);
        if (batch.count > 0)
            emit(port, EVENT_FRAMES, (int32_t)batch.count);
        if (port->closed)
            return;
        if (batch.error != 0) {
            fail(port, batch.error);
            return;
        }
        if (batch.drained)
            return;
    }
}

/* libuv says only that something is wrong; reading says what. */
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

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct port *port = handle->data;
    napi_handle_scope scope;
    if (port->closed || napi_open_handle_scope(port->env, &scope) != napi_ok)
        return;
    /* JavaScript may close the port, which keeps its memory for as long as the handle closes. */
    if (status < 0) {
        fail(port, find_error(port));
    } else {
        if (events & UV_WRITABLE) {
            port->waiting_to_write = false;
            update_poll(port);
            emit(port, EVENT_WRITABLE, 0);
        }
        if (events & UV_READABLE)
            read_turn(port);
    }
    napi_close_handle_scope(port->env, scope);
}

/* Writes a frame that lies in pieces, the header of JavaScript's length in front; `pieces[0]` is left for the kernel's header. */
static enum status write_frame(struct port *port, struct iovec *pieces, int count, size_t length, int *error)
{
    uint8_t header[MAX_HEADER] = {0};
    size_t to_skip = port->nic_header, copied = 0;
    if (length < port->nic_header + (port->ethernet ? ETHERNET_HEADER : 1) ||
        length > port->nic_header + MAX_FRAME) {
        *error = EMSGSIZE;
        return STATUS_DROPPED;
    }
    int first = 1;
    while (to_skip > 0) {
        size_t part = pieces[first].iov_len < to_skip ? pieces[first].iov_len : to_skip;
        memcpy(header + copied, pieces[first].iov_base, part);
        copied += part;
        to_skip -= part;
        pieces[first].iov_base = (uint8_t *)pieces[first].iov_base + part;
        pieces[first].iov_len -= part;
        if (pieces[first].iov_len == 0)
            first++;
    }
    /* The kernel reads no num_buffers, but wants the bytes. */
    memset(header + KERNEL_HEADER, 0, sizeof header - KERNEL_HEADER);
    if (port->kernel_header > 0)
        pieces[--first] = (struct iovec){header, port->kernel_header};
    ssize_t written;
    do
        written = writev(port->fd, pieces + first, count + 1 - first);
    while (written < 0 && errno == EINTR);
    if (written >= 0)
        return STATUS_TAKEN;
    if (errno != EAGAIN) {
        *error = errno;
        return STATUS_DROPPED;
    }
    port->waiting_to_write = true;
    update_poll(port);
    return STATUS_MUST_WAIT;
}

static struct port *port_of(napi_env env, napi_value self)
{
    bool is_port = false;
    void *data = NULL;
    if (napi_check_object_type_tag(env, self, &PORT_TAG, &is_port) != napi_ok || !is_port ||
        napi_unwrap(env, self, &data) != napi_ok) {
        throw_type(env, "this is no FramePort");
        return NULL;
    }
    return data;
}

/* The port of a method call, open, and its arguments; NULL, and an exception, where it is something else. */
static struct port *enter(napi_env env, napi_callback_info info, size_t count, napi_value *arguments)
{
    napi_value self;
    if (!read_arguments(env, info, count, arguments, &self))
        return NULL;
    struct port *port = port_of(env, self);
    if (port != NULL && port->closed) {
        throw_errno(env, EBADF, "FramePort");
        return NULL;
    }
    return port;
}

/* send(frame): one of the statuses; why it was dropped stands in `answers`. */
static napi_value port_send(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    struct view view;
    struct port *port = enter(env, info, 1, arguments);
    if (port == NULL)
        return NULL;
    if (!view_of(env, arguments[0], napi_uint8_array, &view))
        return throw_type(env, "a Uint8Array is expected");
    struct iovec pieces[2] = {{0}, {view.data, view.length}};
    int error = 0;
    enum status status = write_frame(port, pieces, 1, view.length, &error);
    answers_of(port)[ANSWER_ERRNO] = (uint32_t)error;
    return make_int32(env, status);
}

/* sendGathered(pieces): as send. At most MAX_PIECES. */
static napi_value port_send_gathered(napi_env env, napi_callback_info info)
{
    napi_value arguments[1], element;
    uint32_t count;
    struct port *port = enter(env, info, 1, arguments);
    if (port == NULL)
        return NULL;
    if (napi_get_array_length(env, arguments[0], &count) != napi_ok || count > MAX_PIECES)
        return throw_type(env, "an array of at most 64 pieces is expected");
    struct iovec pieces[1 + MAX_PIECES];
    size_t length = 0;
    int used = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct view view;
        if (napi_get_element(env, arguments[0], i, &element) != napi_ok ||
            !view_of(env, element, napi_uint8_array, &view))
            return throw_type(env, "every piece must be a Uint8Array");
        if (view.length == 0)
            continue;
        pieces[++used] = (struct iovec){view.data, view.length};
        length += view.length;
    }
    int error = 0;
    enum status status = write_frame(port, pieces, used, length, &error);
    answers_of(port)[ANSWER_ERRNO] = (uint32_t)error;
    return make_int32(env, status);
}

/* sendBatch(bytes, offsets, lengths, count): TAKEN, or MUST_WAIT; how far it came stands in `answers`. */
static napi_value port_send_batch(napi_env env, napi_callback_info info)
{
    napi_value arguments[4];
    struct view bytes, offsets, lengths;
    uint32_t count, dropped = 0, taken_bytes = 0, i;
    struct port *port = enter(env, info, 4, arguments);
    if (port == NULL || !read_uint32(env, arguments[3], &count))
        return NULL;
    if (!view_of(env, arguments[0], napi_uint8_array, &bytes) ||
        !view_of(env, arguments[1], napi_uint32_array, &offsets) ||
        !view_of(env, arguments[2], napi_uint32_array, &lengths) || count > offsets.length || count > lengths.length)
        return throw_type(env, "a Uint8Array, two Uint32Arrays and their count are expected");
    enum status status = STATUS_TAKEN;
    int error = 0;
    for (i = 0; i < count; i++) {
        size_t offset = ((uint32_t *)offsets.data)[i], length = ((uint32_t *)lengths.data)[i];
        if (offset > bytes.length || length > bytes.length - offset) {
            error = EFAULT;
            dropped++;
            continue;
        }
        struct iovec pieces[2] = {{0}, {(uint8_t *)bytes.data + offset, length}};
        status = write_frame(port, pieces, 1, length, &error);
        if (status == STATUS_MUST_WAIT)
            break;
        if (status == STATUS_DROPPED)
            dropped++;
        else
            taken_bytes += (uint32_t)length - port->nic_header;
    }
    uint32_t *answers = answers_of(port);
    answers[ANSWER_CONSUMED] = i;
    answers[ANSWER_DROPPED] = dropped;
    answers[ANSWER_ERRNO] = (uint32_t)error;
    answers[ANSWER_BYTES] = taken_bytes;
    return make_int32(env, status == STATUS_MUST_WAIT ? STATUS_MUST_WAIT : STATUS_TAKEN);
}

/* readNow(bytes, offsets, lengths): reads without waiting for the event loop; how many messages, or throws the descriptor's error. */
static napi_value port_read_now(napi_env env, napi_callback_info info)
{
    napi_value arguments[3];
    struct view views[3] = {0};
    struct batch batch;
    struct port *port = enter(env, info, 3, arguments);
    if (port == NULL)
        return NULL;
    for (enum array which = ARRAY_BYTES; which <= ARRAY_LENGTHS; which++)
        if (!view_of(env, arguments[which], array_type(which), &views[which]))
            return throw_type(env, "a Uint8Array and two Uint32Arrays are expected");
    read_batch(port, &batch, views);
    if (batch.count == 0 && batch.error != 0)
        return throw_errno(env, batch.error, "read");
    return make_int32(env, (int32_t)batch.count);
}

/* setReading(on). */
static napi_value port_set_reading(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    bool on;
    struct port *port = enter(env, info, 1, arguments);
    if (port == NULL || !read_bool(env, arguments[0], &on))
        return NULL;
    port->reading = on;
    update_poll(port);
    return NULL;
}

/* pause(): stops reading, and waiting for room to write; whether it waited for that. The callback WRITABLE does not come any more. */
static napi_value port_pause(napi_env env, napi_callback_info info)
{
    napi_value result;
    struct port *port = enter(env, info, 0, NULL);
    if (port == NULL)
        return NULL;
    bool waited = port->waiting_to_write;
    port->reading = false;
    port->waiting_to_write = false;
    update_poll(port);
    return napi_get_boolean(env, waited, &result) == napi_ok ? result : NULL;
}

/* setHeaders(kernelLength, nicLength, bigEndian). */
static napi_value port_set_headers(napi_env env, napi_callback_info info)
{
    napi_value arguments[3];
    uint32_t kernel_header, nic_header;
    bool big_endian;
    struct port *port = enter(env, info, 3, arguments);
    if (port == NULL || !read_uint32(env, arguments[0], &kernel_header) || !read_uint32(env, arguments[1], &nic_header) ||
        !read_bool(env, arguments[2], &big_endian))
        return NULL;
    if ((kernel_header != 0 && kernel_header < KERNEL_HEADER) || kernel_header > MAX_HEADER ||
        (nic_header != 0 && nic_header < KERNEL_HEADER) || nic_header > MAX_HEADER)
        return throw_type(env, "a header has 0 bytes, or 10 to 20");
    port->kernel_header = kernel_header;
    port->nic_header = nic_header;
    port->big_endian = big_endian;
    return NULL;
}

/* setReferenced(on): whether the port keeps the process alive while it waits. */
static napi_value port_set_referenced(napi_env env, napi_callback_info info)
{
    napi_value arguments[1];
    bool on;
    struct port *port = enter(env, info, 1, arguments);
    if (port == NULL || !read_bool(env, arguments[0], &on))
        return NULL;
    if (on)
        uv_ref((uv_handle_t *)&port->poll);
    else
        uv_unref((uv_handle_t *)&port->poll);
    return NULL;
}

/* close(keepDescriptor): safe to call again. A descriptor that is kept is the caller's. */
static napi_value port_close(napi_env env, napi_callback_info info)
{
    napi_value arguments[1], self;
    bool keep_descriptor;
    if (!read_arguments(env, info, 1, arguments, &self) || !read_bool(env, arguments[0], &keep_descriptor))
        return NULL;
    struct port *port = port_of(env, self);
    if (port != NULL)
        close_port(port, keep_descriptor);
    return NULL;
}

/* The references and the context that a port holds while it is open. */
static bool hold_references(struct port *port, napi_value self, const napi_value *arrays, napi_value callback)
{
    napi_env env = port->env;
    napi_value name;
    for (int i = 0; i < ARRAY_COUNT; i++)
        if (napi_create_reference(env, arrays[i], 1, &port->arrays[i]) != napi_ok)
            return false;
    return napi_create_reference(env, callback, 1, &port->callback) == napi_ok &&
           napi_create_reference(env, self, 1, &port->self) == napi_ok &&
           napi_create_string_utf8(env, "slirp-wasm:tap", NAPI_AUTO_LENGTH, &name) == napi_ok &&
           napi_async_init(env, self, name, &port->context) == napi_ok;
}

/* new FramePort(fd, bytes, offsets, lengths, answers, callback, isEthernet): on success the descriptor is the port's. */
static napi_value port_construct(napi_env env, napi_callback_info info)
{
    napi_value arguments[7], self;
    int32_t fd;
    uv_loop_t *loop;
    napi_valuetype callback_type;
    bool ethernet;
    if (!read_arguments(env, info, 7, arguments, &self) || !read_int32(env, arguments[0], &fd))
        return NULL;
    for (int i = 0; i < ARRAY_COUNT; i++) {
        struct view view;
        if (!view_of(env, arguments[1 + i], array_type((enum array)i), &view))
            return throw_type(env, "a Uint8Array and three Uint32Arrays are expected");
    }
    if (napi_typeof(env, arguments[5], &callback_type) != napi_ok || callback_type != napi_function ||
        napi_get_value_bool(env, arguments[6], &ethernet) != napi_ok)
        return throw_type(env, "a callback and a boolean are expected");
    if (napi_get_uv_event_loop(env, &loop) != napi_ok)
        return throw_type(env, "this environment has no event loop");
    struct port *port = calloc(1, sizeof *port);
    if (port == NULL)
        return throw_errno(env, ENOMEM, "calloc");
    port->env = env;
    port->fd = fd;
    port->ethernet = ethernet;
    port->references = 1;
    int error = uv_poll_init(loop, &port->poll, fd);
    if (error != 0) {
        free(port);
        return throw_errno(env, -error, "uv_poll_init");
    }
    port->poll.data = port;
    /* From here on the handle is in the event loop: every failure goes through its closing, as the environment's end does. */
    if (napi_add_async_cleanup_hook(env, on_environment_end, port, &port->hook) != napi_ok ||
        napi_wrap(env, self, port, on_collected, NULL, NULL) != napi_ok)
        napi_fatal_error("FramePort", NAPI_AUTO_LENGTH, "out of memory", NAPI_AUTO_LENGTH);
    port->references++;
    if (napi_type_tag_object(env, self, &PORT_TAG) != napi_ok ||
        !hold_references(port, self, arguments + 1, arguments[5]))
        napi_fatal_error("FramePort", NAPI_AUTO_LENGTH, "out of memory", NAPI_AUTO_LENGTH);
    return self;
}

napi_value define_frame_port(napi_env env)
{
#define METHOD(name, function) {name, NULL, function, NULL, NULL, NULL, napi_default_method, NULL}
    const napi_property_descriptor methods[] = {
        METHOD("send", port_send),
        METHOD("sendGathered", port_send_gathered),
        METHOD("sendBatch", port_send_batch),
        METHOD("readNow", port_read_now),
        METHOD("setReading", port_set_reading),
        METHOD("pause", port_pause),
        METHOD("setHeaders", port_set_headers),
        METHOD("setReferenced", port_set_referenced),
        METHOD("close", port_close),
    };
#undef METHOD
    napi_value class;
    if (napi_define_class(env, "FramePort", NAPI_AUTO_LENGTH, port_construct, NULL, sizeof methods / sizeof *methods,
                          methods, &class) != napi_ok)
        return NULL;
    return class;
}
