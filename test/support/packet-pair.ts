/**
 * Two ends of a socket that keeps messages apart (SOCK_SEQPACKET), which Node cannot make: Python does, and passes them on. A FramePort
 * takes one for a device; what goes in and out at the other end is the test's to write and read.
 */
import { execFileSync } from "node:child_process";
import type { TapAddon } from "../../src/backends/tap-addon.js";

const SCRIPT = `
import socket, sys
link = socket.socket(fileno=3)
for i in range(int(sys.argv[1])):
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET): socket.send_fds(link, [b"x"], [end.fileno()])
`;

/** The first does not wait, the second does. */
export type PacketPair = readonly [device: number, far: number];

/** As many as are asked for; all are the caller's. */
export function openPacketPairs(addon: TapAddon, count: number): PacketPair[] {
  const [ours, theirs] = addon.makeSocketPair();
  const words = ["-c", SCRIPT, String(count)];
  execFileSync("python3", words, { stdio: ["ignore", "ignore", "inherit", theirs] });
  addon.closeDescriptor(theirs);
  const pairs = Array.from({ length: count }, () => {
    const device = addon.receiveDescriptor(ours);
    return [addon.prepareDescriptor(device), addon.receiveDescriptor(ours)] as const;
  });
  addon.closeDescriptor(ours);
  return pairs;
}
