/**
 * The contract of streams, for those that end in the page: what the page does here is to hand every byte on to a real socket, and back.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import type { HostEndpoint } from "../../src/address.js";
import { PageHostNetwork } from "../../src/browser/page-host-network.js";
import { PageStream, type PagePeer } from "../../src/browser/page-stream.js";
import { Errno, type HostStream } from "../../src/host-network.js";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";

class PipingNetwork extends PageHostNetwork {
  readonly name = "piping";

  connectStream(remote: HostEndpoint): HostStream | number {
    if (this.isClosing) return -Errno.ENETDOWN;
    if (remote.family === "unix") return -Errno.EAFNOSUPPORT;
    const { address: host, port } = remote;
    const parts = { pool: this.loop.pool, open: this.open };
    return new PageStream(parts, remote, (peer) => pipe(peer, { host, port }));
  }
}

async function pipe(peer: PagePeer, target: { host: string; port: number }): Promise<void> {
  const socket = connect({ ...target, allowHalfOpen: true, noDelay: true });
  const sending = sendAll(peer, socket);
  try {
    await receiveAll(peer, socket);
    peer.end();
  } catch (error) {
    // The guest has closed: what it sent before still goes out, what comes is nobody's.
    if (!peer.signal.aborted) throw error;
    socket.resume();
  }
  await sending;
}

/** By events: a stream that is read by its iterator forgets, at a reset, what came before. */
async function receiveAll(peer: PagePeer, socket: ReturnType<typeof connect>): Promise<void> {
  let written = Promise.resolve();
  const ended = new Promise<void>((resolve, reject) => {
    socket.on("data", (piece) => {
      socket.pause();
      written = written.then(() => peer.write(piece));
      written.then(() => socket.resume(), reject);
    });
    socket.once("end", () => {
      // libuv tells a reset as an end where data came with it; who writes, be it nothing, is told better.
      if (!socket.writable || socket.writableLength > 0) resolve();
      else socket.write(new Uint8Array(), (error) => (error ? reject(error) : resolve()));
    });
    socket.on("error", reject);
  });
  const failure = await ended.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  await written;
  if (failure) throw failure.error;
}

async function sendAll(peer: PagePeer, socket: ReturnType<typeof connect>): Promise<void> {
  try {
    for (let bytes = await peer.read(); bytes; bytes = await peer.read()) {
      if (!socket.write(bytes)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
    }
    socket.end();
  } catch {
    socket.resetAndDestroy();
  }
}

describeHostNetwork("streams that end in the page", {
  make: () => new PipingNetwork(),
  peers: new PeerKit(),
  childModule: fileURLToPath(new URL("make-wisp-host-network.ts", import.meta.url)),
  capabilities: {
    halfClose: true,
    reset: true,
    refused: "the page takes every connection",
    localEndpoint: "a page has no addresses",
    backpressure: true,
    flowControl: true,
    unixStreams: "a page has no files",
    ipv6: true,
    listen: "a page opens no ports",
    localAddress: "a page has no addresses",
    datagrams: "a page has no UDP",
    descriptors: "sockets are the page's",
    holdsProcess: "a page is no process",
  },
});
