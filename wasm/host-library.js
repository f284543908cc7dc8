/**
 * Binds the functions of host.h to the object that whoever makes an instance passes as `host` (src/slirp/host-calls.ts).
 * emscripten evaluates this at link time and writes each function's source text into its JavaScript.
 */
/* global mergeInto, LibraryManager */

/** Name of each function and how many parameters it has: the declarations of host.h, which a test compares. */
const parameterCounts = {
  host_open_datagram: 4,
  host_adopt_bound: 1,
  host_connect: 3,
  host_spawn: 3,
  host_accept: 3,
  host_send: 5,
  host_receive: 3,
  host_send_to: 4,
  host_receive_from: 4,
  host_next_length: 1,
  host_shutdown_write: 1,
  host_close: 2,
  host_take_error: 1,
  host_local_address: 2,
  host_open_file: 3,
  host_read_file: 4,
  host_deliver: 0,
  host_log: 3,
  host_guestfwd_data: 3,
};

const functions = {};
for (const [name, count] of Object.entries(parameterCounts)) {
  const parameters = Array.from({ length: count }, (_, index) => "abcde"[index]).join(", ");
  functions[name] = new Function(parameters, `return Module["host"].${name}(${parameters});`);
  functions[name].toString = () => `function(${parameters}) { return Module["host"].${name}(${parameters}); }`;
}
mergeInto(LibraryManager.library, functions);
