/** Uses each entry's types as a program would. It is compiled, never run. */
import {
  ErrorCode,
  SlirpError,
  VirtioNetFeature,
  type FrameBatch,
  type NetBackend,
} from "slirp-wasm";
import {
  createSlirp as createInPage,
  type RelayStatus,
  type SlirpBackend,
  type SocketDescription,
} from "slirp-wasm/browser";
import { createSlirp, parseHostForwards, type Slirp } from "slirp-wasm/node";
import { FrameTranslator, guestOffloads } from "slirp-wasm/offloads";
import { listenQemu, SharedBackend } from "slirp-wasm/qemu";
import { createRelay } from "slirp-wasm/relay";
import { attachV86, type V86Attachment } from "slirp-wasm/v86";
import { serveSlirp } from "slirp-wasm/worker";

export async function joinGuest(emulator: Parameters<typeof attachV86>[0]): Promise<V86Attachment> {
  const slirp: Slirp = await createSlirp({
    slirp: { hostForwards: parseHostForwards("tcp::0-:80"), mtuBytes: 9000 },
    onLog: (level: "debug" | "warning" | "critical" | "fatal", text: string) => [level, text],
  });
  const backend: NetBackend = slirp;
  backend.callbacks = {
    onFrames(batch: FrameBatch) {
      batch.bytes.subarray(batch.offsets[0], batch.lengths[0]);
    },
  };
  return attachV86(emulator, backend);
}

export async function serve(slirp: Slirp): Promise<void> {
  await listenQemu({ path: "/tmp/net.sock", backends: new SharedBackend(slirp) });
  createRelay({ allow: ["127.0.0.1:8000"] });
}

export function* translate(frame: Uint8Array): Generator<Uint8Array> {
  const translator = new FrameTranslator(guestOffloads(VirtioNetFeature.guestChecksum), 12);
  for (let left = translator.begin(frame, 0, frame.length, 12); left > 0; left--) {
    const target = new Uint8Array(translator.maxFrameBytes);
    yield target.subarray(0, translator.next(target, 0));
  }
}

export async function inPage(): Promise<void> {
  const onStatus = (status: RelayStatus): unknown => status;
  const slirp = await createInPage({ relay: ["wss://relay.example.org/"], wisp: { onStatus } });
  await slirp.addForward("tcp::8080-:80").catch((error: unknown) => {
    if (error instanceof SlirpError && error.code === ErrorCode.forwardFailed) return;
    throw error;
  });
  const remote: SlirpBackend = await createInPage({
    relay: "wss://relay.example.org/",
    worker: true,
  });
  const sockets: SocketDescription[] = await remote.sockets();
  // @ts-expect-error an answer of a worker must be awaited
  const early: SocketDescription[] = remote.sockets();
  sockets.push(...early);
  serveSlirp((asked) => asked);
  // @ts-expect-error the option does not exist
  await createSlirp({ relays: 1 });
}
