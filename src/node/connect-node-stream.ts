/**
 * Starts outgoing connections. Addresses are numeric, so that no name is ever looked up; what can be refused without a
 * system call is refused at once, everything else (no descriptor left, nobody listening) becomes the stream's error.
 */
import { connect } from "node:net";
import type { IpEndpoint } from "../address.js";
import { Errno } from "../host-network.js";
import { errnoOf } from "./errno-of.js";
import { hostText, isUsablePath } from "./node-endpoints.js";
import { NodeStream, type StreamParts } from "./node-stream.js";

/** Connects to `parts.remote`, from `local` where that is given. A negative errno where that cannot be. */
export function connectNodeStream(
  parts: StreamParts,
  local: IpEndpoint | undefined,
): NodeStream | number {
  const { loop, remote } = parts;
  if (remote.family === "unix" && !isUsablePath(remote.path)) return -Errno.EINVAL;
  if (remote.family !== "unix" && local && local.family !== remote.family) return -Errno.EINVAL;
  const options = {
    allowHalfOpen: true,
    noDelay: true,
    // One buffer for all connections: what is read is copied before the next read, and idle connections need none.
    onread: {
      buffer: loop.readBuffer,
      callback: (count: number): boolean => stream.take(loop.readBuffer, count),
    },
  };
  const target =
    remote.family === "unix"
      ? { path: remote.path }
      : { host: hostText(remote), port: remote.port, ...(local && localOptions(local)) };
  let stream: NodeStream;
  try {
    stream = new NodeStream(parts, connect({ ...options, ...target }), undefined);
  } catch (error) {
    return -errnoOf(error);
  }
  return stream;
}

/** How `net.connect` is told where to connect from; port 0 leaves the port to the system. */
function localOptions(local: IpEndpoint): { localAddress: string; localPort?: number } {
  const localAddress = hostText(local);
  return local.port === 0 ? { localAddress } : { localAddress, localPort: local.port };
}
