/*
 * How linear memory grows: by a quarter of itself, and by a mebibyte at least.
 *
 * The C library asks for what it needs at the moment, a page of 64 KiB mostly. Every growth gives JavaScript a new ArrayBuffer of the whole
 * size, which V8's garbage collector counts as newly allocated: a stack that gets many connections in a short time had it collect for each
 * page, which took half of the processor's time. Pages that nobody has touched cost no memory.
 */
#include <stddef.h>

enum { PAGE_BYTES = 65536, LEAST_PAGES = 16 };

int __real_emscripten_resize_heap(size_t wanted_bytes);

int __wrap_emscripten_resize_heap(size_t wanted_bytes)
{
    size_t pages = __builtin_wasm_memory_size(0);
    size_t more = pages / 4 > LEAST_PAGES ? pages / 4 : LEAST_PAGES;
    size_t wanted_pages = (wanted_bytes + PAGE_BYTES - 1) / PAGE_BYTES;

    if (pages + more > wanted_pages && pages + more < 65536 && __real_emscripten_resize_heap((pages + more) * PAGE_BYTES)) {
        return 1;
    }
    return __real_emscripten_resize_heap(wanted_bytes);
}
