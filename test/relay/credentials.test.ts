/**
 * Keys and passwords of Wisp clients, with our own client and with one that lies.
 */
import { createHash, generateKeyPairSync, sign, webcrypto, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { ipEndpoint } from "../../src/address.js";
import { createWispHostNetwork } from "../../src/browser/wisp-host-network.js";
import { ErrorCode } from "../../src/errors.js";
import type { HostStream } from "../../src/host-network.js";
import { createRelay } from "../../src/relay.js";
import type { WebSocketClass } from "../../src/web-socket.js";
import {
  decodeKeyOffer,
  decodePasswordOffer,
  encodeKeyAnswer,
  encodePassword,
  WispExtensionId,
} from "../../src/wisp-extensions.js";
import { encodeInfo, WispReason, type WispExtension, type WispPacket } from "../../src/wisp.js";
import { LOOPBACK_RULES, RelayKit } from "./relay-kit.js";
import { WispClient } from "./wisp-client.js";

const kit = new RelayKit();
const pair = generateKeyPairSync("ed25519");

const rawOf = (key: KeyObject): Buffer => key.export({ format: "der", type: "spki" }).subarray(-32);
const pem = pair.publicKey.export({ format: "pem", type: "spki" }).toString();

function answerTo(challenge: Uint8Array, { publicKey, privateKey } = pair): WispExtension {
  const metadata = encodeKeyAnswer({
    algorithm: 1,
    publicKeyHash: createHash("sha256").update(rawOf(publicKey)).digest(),
    signature: sign(null, challenge, privateKey),
  });
  return { id: WispExtensionId.key, metadata };
}

/** A client of version 2, and what it is offered. */
async function meet(url: string): Promise<{
  client: WispClient;
  offered: ReadonlyMap<number, Uint8Array>;
  challenge: Uint8Array;
}> {
  const client = kit.closeLater(new WispClient(url, { version: 2 }));
  const info = (await client.packet(({ type }) => type === "info")) as WispPacket & {
    type: "info";
  };
  const offered = new Map(info.extensions.map(({ id, metadata }) => [id, metadata]));
  const key = offered.get(WispExtensionId.key);
  return {
    client,
    offered,
    challenge: (key && decodeKeyOffer(key)?.challenge) ?? new Uint8Array(),
  };
}

describe("a key", () => {
  it.each([
    ["as PEM", pem],
    ["in base64", rawOf(pair.publicKey).toString("base64")],
  ])("%s lets its holder in, and nobody else", async (_how, key) => {
    const { url } = await kit.start({ ...LOOPBACK_RULES, keys: [key] });
    const { client, challenge } = await meet(url);
    client.send(encodeInfo([answerTo(challenge)]));
    await client.ready();
    const stranger = await meet(url);
    const other = generateKeyPairSync("ed25519");
    stranger.client.send(encodeInfo([answerTo(stranger.challenge, other)]));
    expect(await stranger.client.closeReason(0)).toBe(WispReason.badSignature);
    const silent = await meet(url);
    silent.client.send(encodeInfo([]));
    expect(await silent.client.closeReason(0)).toBe(WispReason.credentialsMissing);
    const old = kit.closeLater(new WispClient(url));
    expect(await old.closeReason(0)).toBe(WispReason.credentialsMissing);
  });

  it("has a challenge of its own for each client: an answer cannot be used again", async () => {
    const { url } = await kit.start({ ...LOOPBACK_RULES, keys: [pem] });
    const first = await meet(url);
    const second = await meet(url);
    expect(first.challenge.length).toBeGreaterThanOrEqual(32);
    expect(first.challenge).not.toEqual(second.challenge);
    second.client.send(encodeInfo([answerTo(first.challenge)]));
    expect(await second.client.closeReason(0)).toBe(WispReason.badSignature);
  });

  it("answered by what is no answer is refused: too short, another algorithm, a name that is not the signer's", async () => {
    const { url } = await kit.start({ ...LOOPBACK_RULES, keys: [pem] });
    const good = (challenge: Uint8Array): Uint8Array => answerTo(challenge).metadata;
    for (const spoil of [
      () => new Uint8Array(5),
      (challenge: Uint8Array) => Buffer.concat([Buffer.of(2), good(challenge).subarray(1)]),
      (challenge: Uint8Array) => good(challenge).subarray(0, 60),
      (challenge: Uint8Array) => good(challenge).fill(7, 1, 33),
    ]) {
      const { client, challenge } = await meet(url);
      client.send(encodeInfo([{ id: WispExtensionId.key, metadata: spoil(challenge) }]));
      expect(await client.closeReason(0)).toBe(WispReason.badSignature);
    }
  });

  it("or a password will do where both are set, and neither is demanded then", async () => {
    const { url } = await kit.start({ ...LOOPBACK_RULES, keys: [pem], users: { ann: "pass" } });
    const byKey = await meet(url);
    expect(decodePasswordOffer(byKey.offered.get(WispExtensionId.password) as Uint8Array)).toBe(
      false,
    );
    expect(decodeKeyOffer(byKey.offered.get(WispExtensionId.key) as Uint8Array)?.required).toBe(
      false,
    );
    byKey.client.send(encodeInfo([answerTo(byKey.challenge)]));
    await byKey.client.ready();
    const byPassword = await meet(url);
    const metadata = encodePassword({ user: "ann", password: "pass" });
    byPassword.client.send(encodeInfo([{ id: WispExtensionId.password, metadata }]));
    await byPassword.client.ready();
    const neither = await meet(url);
    neither.client.send(encodeInfo([]));
    expect(await neither.client.closeReason(0)).toBe(WispReason.credentialsMissing);
  });

  it("is answered by our own client", async () => {
    const keyPair = (await webcrypto.subtle.generateKey("Ed25519", true, [
      "sign",
      "verify",
    ])) as webcrypto.CryptoKeyPair;
    const raw = Buffer.from(await webcrypto.subtle.exportKey("raw", keyPair.publicKey));
    const { url } = await kit.start({ ...LOOPBACK_RULES, keys: [raw.toString("base64")] });
    const server = await kit.peers.tcpServer();
    if (server.endpoint.family === "unix") throw new Error("not TCP");
    const network = createWispHostNetwork({
      relays: [{ url, keyPair: keyPair as never }],
      webSocket: WebSocket as unknown as WebSocketClass,
    });
    kit.closeLater({ [Symbol.asyncDispose]: () => network.close() });
    const stream = network.connectStream(
      ipEndpoint("127.0.0.1", server.endpoint.port),
    ) as HostStream;
    const ready = new Promise((resolve) => (stream.onReady = resolve));
    const peer = await server.connection();
    await ready;
    stream.send(Buffer.from("in"));
    const [heard] = (await once(peer.resume(), "data")) as [Buffer];
    expect(heard.toString()).toBe("in");
  });

  it.each([
    ["nothing", ""],
    ["no base64 of 32 bytes", "AAAA"],
    ["a broken PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"],
    [
      "a key of another kind",
      generateKeyPairSync("x25519").publicKey.export({ format: "pem", type: "spki" }).toString(),
    ],
  ])("that cannot be one is refused when the relay is made: %s", (_what, key) => {
    expect(() => createRelay({ keys: [pem, key] })).toThrow(
      expect.objectContaining({
        code: ErrorCode.invalidConfiguration,
        message: expect.stringMatching(/^key 2: /) as string,
      }),
    );
  });
});
