/* Runs a program that may do less than we may. */
#ifndef SLIRP_WASM_NETNS_CONFINE_H
#define SLIRP_WASM_NETNS_CONFINE_H

/*
 * `confine [--read=PATH]… [--write=FILE]… [--sockets=FOLDER]… -- PROGRAM ARGUMENT…`: replaces this process by the program, which may read
 * what is named, write files, and make and remove sockets in folders. Answers an exit status where it could not.
 */
int run_confined(int count, char **words);

#endif
