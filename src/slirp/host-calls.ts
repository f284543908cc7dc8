/**
 * The functions that the module imports (wasm/host.h): libslirp's socket calls, carried out on the host network.
 *
 * Every answer is 0 or a count, or an errno made negative. Nothing here calls into the module again, and nothing throws: an
 * exception would pass through C and leave the stack in pieces.
 */
import { ipEndpoint } from "../address.js";
import { Errno } from "../host-network.js";
import { datagramCalls } from "./datagram-calls.js";
import { fileCalls } from "./file-calls.js";
import type { HostCallContext } from "./host-call-context.js";
import type { HostCalls } from "./module-instance.js";
import { writeSocketAddress } from "./socket-address.js";
import { streamCalls } from "./stream-calls.js";

/** Makes the import object's functions. */
export function createHostCalls(context: HostCallContext): HostCalls {
  return {
    ...streamCalls(context),
    ...datagramCalls(context),
    ...fileCalls(context),
    ...socketCalls(context),
    ...upcalls(context),
  };
}

/** What all sockets have in common. */
function socketCalls(context: HostCallContext): HostCalls {
  const { instance, table } = context;
  return {
    host_adopt_bound: (descriptor: number) => {
      const bound = table.offered;
      if (!bound) return -Errno.EADDRNOTAVAIL;
      table.offered = undefined;
      table.adoptedDescriptor = descriptor;
      table.put(descriptor, bound);
      return 0;
    },
    host_close: (descriptor: number, abort: number) => {
      const entry = table.take(descriptor);
      if (entry?.kind === "stream" && abort !== 0) entry.socket.reset();
      else entry?.socket.close();
      return undefined;
    },
    host_take_error: (descriptor: number) => {
      const entry = table.get(descriptor);
      return entry && entry.kind !== "file" && "takeError" in entry.socket
        ? entry.socket.takeError()
        : 0;
    },
    host_local_address: (descriptor: number, address: number) => {
      const entry = table.get(descriptor);
      if (!entry || entry.kind === "file") return -Errno.EBADF;
      const local = entry.socket.localEndpoint;
      const family = entry.kind === "stream" ? undefined : entry.guestFamily;
      const seen =
        local && local.family !== "unix" && (family ?? local.family) === local.family
          ? local
          : undefined;
      writeSocketAddress(
        instance.HEAPU8,
        address,
        seen ?? ipEndpoint(family === 6 ? "::1" : "127.0.0.1", 0),
      );
      return 0;
    },
  };
}

/** What the module has to say. */
function upcalls(context: HostCallContext): HostCalls {
  const { instance } = context;
  return {
    host_deliver: () => {
      context.deliver();
      return undefined;
    },
    host_log: (level: number, text: number, length: number) => {
      context.log(level, instance.textAt(text, length));
      return undefined;
    },
    host_guestfwd_data: (id: number, bytes: number, length: number) => {
      context.guestChannelData(id, instance.bytesAt(bytes, length));
      return undefined;
    },
  };
}
