/*
 * Frames in and out through areas of linear memory.
 *
 * From the guest: JavaScript copies frames into one of two areas and calls for a turn, which works the area off while further
 * frames may be put into the other. Towards the guest: send_packet copies the frame behind the others of this turn and notes
 * where it lies; JavaScript hands all of them to the NIC at once. Neither way allocates anything for a frame.
 *
 * When the area towards the guest is full in the middle of a turn, JavaScript is asked to deliver. Only when it cannot (the NIC
 * has receiving disabled) a frame is dropped, and counted: TCP sends it again.
 */
#include "slirp.h"

#include "frames.h"
#include "host.h"
#include "offload.h"
#include "shared.h"
#include "stack.h"

enum {
    INPUT_BYTES = 512 * 1024, /* some 330 full frames at MTU 1500, 7 long ones */
    OUTPUT_BYTES = 1024 * 1024,
    OUTPUT_FRAMES = 4096,
    BURST_BYTES = 280 * 1024, /* what one stream's buffer can bring in one go, with headers */
    MAX_HEADER_LENGTH = 12, /* room for it is before every frame: JavaScript changes the header of frames that wait (waiting-frames.ts) */
};

static uint8_t input[2][INPUT_BYTES] __attribute__((aligned(8)));
static int filling; /* which of them JavaScript fills */
static uint8_t output[OUTPUT_BYTES] __attribute__((aligned(8)));
static uint32_t output_used;
static uint32_t sent;
static uint32_t offsets[OUTPUT_FRAMES];
static uint32_t lengths[OUTPUT_FRAMES];

void frames_init(void)
{
    shared.input = (uint32_t)(uintptr_t)input[0];
    shared.input_bytes = INPUT_BYTES;
    shared.output = (uint32_t)(uintptr_t)output;
    shared.output_offsets = (uint32_t)(uintptr_t)offsets;
    shared.output_lengths = (uint32_t)(uintptr_t)lengths;
}

void frames_set_header(unsigned length, unsigned offloads)
{
    shared.header_length = MIN(length, MAX_HEADER_LENGTH);
    shared.offloads = length ? offloads : 0;
}

void frames_input(void)
{
    uint8_t *area = input[filling];
    uint32_t used = shared.input_used;

    filling ^= 1;
    shared.input = (uint32_t)(uintptr_t)input[filling];
    shared.input_used = 0;

    for (uint32_t at = 0; at + sizeof(uint32_t) <= used;) {
        uint32_t length = *(const uint32_t *)(area + at);
        uint8_t *frame = area + at + sizeof(uint32_t);
        if (length > used - at - sizeof(uint32_t)) {
            break; /* JavaScript never writes that; do not read beyond it all the same */
        }
        if (length < shared.header_length + ETH_HLEN ||
            !offload_input(frame + shared.header_length, length - shared.header_length)) {
            shared.input_dropped++;
        }
        at += sizeof(uint32_t) + ((length + 3) & ~3u);
    }
}

static bool is_full(size_t size)
{
    return shared.output_count == OUTPUT_FRAMES || output_used + size > OUTPUT_BYTES;
}

static void restart_if_empty(void)
{
    if (shared.output_first == shared.output_count) {
        shared.output_first = shared.output_count = 0;
        output_used = 0;
    }
}

bool frames_have_output_room(void)
{
    restart_if_empty();
    if (output_used + BURST_BYTES > OUTPUT_BYTES && shared.receive_enabled) {
        host_deliver();
        restart_if_empty();
    }
    return output_used + BURST_BYTES <= OUTPUT_BYTES && shared.output_count < OUTPUT_FRAMES / 2;
}

uint32_t frames_sent(void)
{
    return sent;
}

uint8_t *frames_begin(size_t length)
{
    uint32_t size = (MAX_HEADER_LENGTH + length + 3) & ~3u;

    sent++;
    restart_if_empty();
    if (is_full(size) && shared.receive_enabled) {
        host_deliver();
        restart_if_empty();
    }
    if (is_full(size)) {
        shared.output_dropped++;
        return NULL;
    }
    uint8_t *frame = output + output_used + MAX_HEADER_LENGTH;
    memset(frame - MAX_HEADER_LENGTH, 0, MAX_HEADER_LENGTH);
    frame[-2] = shared.header_length == MAX_HEADER_LENGTH; /* num_buffers, little-endian (virtio 1.2, 5.1.6.4) */
    return frame;
}

void frames_end(const uint8_t *frame, size_t length)
{
    uint32_t index = shared.output_count++;

    offsets[index] = (uint32_t)(uintptr_t)(frame - shared.header_length);
    lengths[index] = shared.header_length + length;
    output_used += (MAX_HEADER_LENGTH + length + 3) & ~3u;
}

ssize_t frames_send_packet(const void *bytes, size_t length, void *opaque)
{
    (void)opaque;
    uint8_t *frame = frames_begin(length);

    if (frame) {
        memcpy(frame, bytes, length);
        frames_end(frame, length);
    }
    return length;
}
