/**
 * What the kernel holds of a TCP connection between two sockets of this machine: the difference between what was handed to it
 * and what was read is there, and not in this process.
 */
import { readFileSync } from "node:fs";

/**
 * Bytes that wait in the kernel between two local ports, both directions, sent and not acknowledged or received and not read
 * (proc(5): tx_queue and rx_queue of /proc/net/tcp). Undefined where the system has no such table.
 */
export function kernelQueuedBytes(port: number, otherPort: number): number | undefined {
  let text: string;
  try {
    text = `${readFileSync("/proc/net/tcp", "latin1")}${readFileSync("/proc/net/tcp6", "latin1")}`;
  } catch {
    return undefined;
  }
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(4, "0");
  const ends = [hex(port), hex(otherPort)];
  let bytes = 0;
  for (const line of text.split("\n")) {
    const match = /:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) .. ([0-9A-F]{8}):([0-9A-F]{8}) /.exec(
      line,
    );
    const [, local = "", remote = "", sending = "", received = ""] = match ?? [];
    if (!match || local === remote || !ends.includes(local) || !ends.includes(remote)) continue;
    bytes += parseInt(sending, 16) + parseInt(received, 16);
  }
  return bytes;
}
