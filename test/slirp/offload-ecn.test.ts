/** Super-frames whose first segment has CWR set (RFC 3168): taken as any other, and whole. */
import { describe, expect, it } from "vitest";
import type { IpEndpoint } from "../../src/address.js";
import { GSO_ECN, GsoType, HeaderFlag, type VirtioNetHeader } from "../../src/virtio-net.js";
import { readBytes } from "../host-network-contract/peer-kit.js";
import { sha256, testBytes } from "../host-network-contract/test-data.js";
import { withHeader } from "../support/bridged-taps.js";
import { makeTcpFrame } from "../support/make-frame.js";
import { CWR, ECE } from "../support/offload-frames.js";
import { addSequence, TcpFlag } from "../support/packet.js";
import {
  closeWorldsAfterEach,
  GATEWAY,
  LOOPBACK,
  openWorld,
  type World,
} from "../support/raw-world.js";
import type { RawConnection } from "../support/raw-connection.js";

closeWorldsAfterEach();

const SEGMENT_BYTES = 1400;

/** Sends data as one frame, its checksum left to be done. */
function sendLong(
  world: World,
  connection: RawConnection,
  payload: Uint8Array,
  said: { readonly flags: number; readonly gsoType: number },
): void {
  const { local, remote } = connection;
  const frame = makeTcpFrame(world.guest.to(remote), {
    sourcePort: local.port,
    destinationPort: remote.port,
    seq: connection.sndNxt,
    ack: connection.rcvNxt,
    flags: TcpFlag.ack | said.flags,
    window: 60_000,
    payload,
    badChecksum: true,
  });
  const transport = remote.family === 4 ? 34 : 54;
  const header: VirtioNetHeader = {
    flags: HeaderFlag.needsChecksum,
    gsoType: said.gsoType,
    headerBytes: transport + 20,
    segmentBytes: SEGMENT_BYTES,
    checksumStart: transport,
    checksumOffset: 16,
  };
  expect(world.slirp.send(withHeader(frame, header))).toBe("taken");
  connection.sndNxt = addSequence(connection.sndNxt, payload.length);
}

describe("a guest that uses ECN", () => {
  for (const family of [4, 6] as const) {
    const plain = family === 4 ? GsoType.tcp4 : GsoType.tcp6;

    it(`has its long frames taken whole, over IPv${String(family)}`, async () => {
      const world = await openWorld({ guest: { headerLength: 12 } });
      world.slirp.setCapabilities(world.slirp.capabilities(12), 12);
      const server = await world.peers.tcpServer(LOOPBACK[family]);
      const { port } = server.endpoint as IpEndpoint;
      const connection = await world.guest.connect(GATEWAY[family], port).opened();
      const peer = await server.connection();
      const data = testBytes(90_000);
      const received = readBytes(peer, data.length);
      const kinds = [
        { flags: CWR, gsoType: plain | GSO_ECN },
        { flags: CWR | ECE | TcpFlag.psh, gsoType: plain | GSO_ECN },
        // What stands between two of them has no CWR, and a header without the bit.
        { flags: ECE, gsoType: plain },
      ];
      let at = 0;
      for (let i = 0; at < data.length; i++) {
        const payload = data.subarray(at, at + [20_000, 1401, 9000][i % 3]!);
        sendLong(world, connection, payload, kinds[i % kinds.length]!);
        at += payload.length;
        await world.guest.until(() => connection.isAcknowledged, "the acknowledgement");
      }
      expect(sha256(await received)).toBe(sha256(data));
      expect(world.slirp.statistics().droppedFromGuest).toBe(0);
    });
  }
});
