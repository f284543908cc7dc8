#include "frame-port.h"

#include <errno.h>
#include <stdlib.h>

#include "port.h"
#include "throw.h"
#include "vhost-device.h"

/* Pieces of a gathered frame that need no copying. */
#define MAX_PIECES 64

static const napi_type_tag PORT_TAG = {0x6c1d0f0e7a9f4a51, 0x9b0e5d2c41b8e7f3};

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
    port->transport->end_batch(port);
    note_sums(port)[ANSWER_ERRNO] = (uint32_t)error;
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
    port->transport->end_batch(port);
    note_sums(port)[ANSWER_ERRNO] = (uint32_t)error;
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
    port->transport->end_batch(port);
    uint32_t *answers = note_sums(port);
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
    if (on && !port->reading)
        port->transport->postpone(port);
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

/* setHeaders(kernelLength, nicLength, bigEndian, offloads). */
static napi_value port_set_headers(napi_env env, napi_callback_info info)
{
    napi_value arguments[4];
    uint32_t kernel_header, nic_header, offloads;
    bool big_endian;
    struct port *port = enter(env, info, 4, arguments);
    if (port == NULL || !read_uint32(env, arguments[0], &kernel_header) || !read_uint32(env, arguments[1], &nic_header) ||
        !read_bool(env, arguments[2], &big_endian) || !read_uint32(env, arguments[3], &offloads))
        return NULL;
    if ((kernel_header != 0 && kernel_header < KERNEL_HEADER) || kernel_header > MAX_HEADER ||
        (nic_header != 0 && nic_header < KERNEL_HEADER) || nic_header > MAX_HEADER)
        return throw_type(env, "a header has 0 bytes, or 10 to 20");
    port->kernel_header = kernel_header;
    port->nic_header = nic_header;
    port->big_endian = big_endian;
    port->offloads = offloads;
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

/* close(keepDescriptors): safe to call again. Descriptors that are kept are the caller's. */
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

/* What a port is made of, as JavaScript gave it. */
struct making {
    int fd;
    bool ethernet;
    const struct vhost_settings *vhost;
    /* The arrays, and the callback. */
    const napi_value *values;
};

static bool check_values(napi_env env, const napi_value *values)
{
    napi_valuetype type;
    for (int i = 0; i < ARRAY_COUNT; i++) {
        struct view view;
        if (!view_of(env, values[i], array_type((enum array)i), &view)) {
            throw_type(env, "a Uint8Array and three Uint32Arrays are expected");
            return false;
        }
    }
    if (napi_typeof(env, values[ARRAY_COUNT], &type) == napi_ok && type == napi_function)
        return true;
    throw_type(env, "a callback is expected");
    return false;
}

/* The rings, where frames go by vhost-net. Nothing is left of them where this throws. */
static bool start_rings(struct port *port, const struct vhost_settings *settings)
{
    const char *call = "calloc";
    port->transport = &VHOST_TRANSPORT;
    port->vhost = calloc(1, sizeof *port->vhost);
    int error = port->vhost == NULL ? ENOMEM : start_vhost(port->vhost, settings, &call);
    if (error == 0)
        return true;
    free(port->vhost);
    throw_errno(port->env, error, call);
    return false;
}

/* Puts the port into the event loop. From then on every failure goes through its closing, as the environment's end does. */
static bool watch(struct port *port)
{
    uv_loop_t *loop;
    int error = UV_ENOSYS;
    if (napi_get_uv_event_loop(port->env, &loop) == napi_ok)
        error = uv_poll_init(loop, &port->poll, port->vhost == NULL ? port->fd : port->vhost->call);
    port->poll.data = port;
    if (error == 0)
        return true;
    if (port->vhost != NULL) {
        /* It stays the caller's, with nothing attached. */
        detach_vhost(port->vhost);
        port->transport->close(port);
    }
    throw_errno(port->env, -error, "uv_poll_init");
    return false;
}

static napi_value make_port(napi_env env, napi_value self, const struct making *making)
{
    if (!check_values(env, making->values))
        return NULL;
    struct port *port = calloc(1, sizeof *port);
    if (port == NULL)
        return throw_errno(env, ENOMEM, "calloc");
    port->transport = &DESCRIPTOR_TRANSPORT;
    port->env = env;
    port->fd = making->fd;
    port->ethernet = making->ethernet;
    port->references = 1;
    if ((making->vhost != NULL && !start_rings(port, making->vhost)) || !watch(port)) {
        free(port);
        return NULL;
    }
    if (napi_add_async_cleanup_hook(env, on_environment_end, port, &port->hook) != napi_ok ||
        napi_wrap(env, self, port, on_collected, NULL, NULL) != napi_ok)
        napi_fatal_error("FramePort", NAPI_AUTO_LENGTH, "out of memory", NAPI_AUTO_LENGTH);
    port->references++;
    if (napi_type_tag_object(env, self, &PORT_TAG) != napi_ok ||
        !hold_references(port, self, making->values, making->values[ARRAY_COUNT]))
        napi_fatal_error("FramePort", NAPI_AUTO_LENGTH, "out of memory", NAPI_AUTO_LENGTH);
    return self;
}

/* new FramePort(fd, isEthernet, bytes, offsets, lengths, answers, callback): on success the descriptor is the port's. */
static napi_value frame_port_construct(napi_env env, napi_callback_info info)
{
    napi_value arguments[7], self;
    struct making making = {.values = arguments + 2};
    if (!read_arguments(env, info, 7, arguments, &self) || !read_int32(env, arguments[0], &making.fd) ||
        !read_bool(env, arguments[1], &making.ethernet))
        return NULL;
    return make_port(env, self, &making);
}

/*
 * new VhostPort(tapFd, vhostFd, tapHasHeader, busyPollUs, bytes, offsets, lengths, answers, callback): on success both descriptors are the
 * port's. The TAP's header, where it has one, has 12 bytes by then.
 */
static napi_value vhost_port_construct(napi_env env, napi_callback_info info)
{
    napi_value arguments[9], self;
    struct vhost_settings settings;
    struct making making = {.ethernet = true, .vhost = &settings, .values = arguments + 4};
    if (!read_arguments(env, info, 9, arguments, &self) || !read_int32(env, arguments[0], &making.fd) ||
        !read_int32(env, arguments[1], &settings.fd) || !read_bool(env, arguments[2], &settings.tap_has_header) ||
        !read_uint32(env, arguments[3], &settings.busy_poll_us))
        return NULL;
    settings.tap = making.fd;
    return make_port(env, self, &making);
}

/* drain(): how many frames are taken and not passed on yet; where that is not 0, WRITABLE tells when there are none. */
static napi_value port_drain(napi_env env, napi_callback_info info)
{
    struct port *port = enter(env, info, 0, NULL);
    return port == NULL ? NULL : make_int32(env, (int32_t)port->transport->drain(port));
}

/* discard(): forgets what waits to be read in memory of ours. */
static napi_value port_discard(napi_env env, napi_callback_info info)
{
    struct port *port = enter(env, info, 0, NULL);
    if (port != NULL) {
        port->transport->discard(port);
        note_sums(port);
    }
    return NULL;
}

napi_value define_port(napi_env env, bool of_vhost)
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
        METHOD("drain", port_drain),
        METHOD("discard", port_discard),
        METHOD("close", port_close),
    };
#undef METHOD
    const char *name = of_vhost ? "VhostPort" : "FramePort";
    napi_value class;
    if (napi_define_class(env, name, NAPI_AUTO_LENGTH, of_vhost ? vhost_port_construct : frame_port_construct, NULL,
                          sizeof methods / sizeof *methods, methods, &class) != napi_ok)
        return NULL;
    return class;
}
