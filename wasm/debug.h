/*
 * Takes the place of libslirp's debug.h (force-included, defining that header's guard): its messages are for reading libslirp's own
 * insides, cost a test at each call, and their texts are a tenth of the module.
 */
#ifndef DEBUG_H_
#define DEBUG_H_

#define DBG_CALL 0
#define DBG_MISC 0
#define DBG_ERROR 0
#define DBG_TFTP 0
#define DBG_VERBOSE_CALL 0

#define DEBUG_CALL(...) ((void)0)
#define DEBUG_VERBOSE_CALL(...) ((void)0)
#define DEBUG_RAW_CALL(...) ((void)0)
#define DEBUG_ARG(...) ((void)0)
#define DEBUG_MISC(...) ((void)0)
#define DEBUG_ERROR(...) ((void)0)
#define DEBUG_TFTP(...) ((void)0)

extern int slirp_debug;

#endif
