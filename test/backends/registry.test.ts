/**
 * Backends by name.
 */
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { ErrorCode } from "../../src/errors.js";
import * as everywhere from "../../src/index.js";
import {
  backendPrefixes,
  openBackend,
  registerBackend,
  WebSocketBackend,
  type BackendKind,
  type WebSocketClass,
} from "../../src/node.js";
import { createBackendPair } from "../support/backend-pair.js";

/** A kind that tells which names it was asked for. */
function recordingKind(...prefixes: string[]): BackendKind & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    prefixes,
    usage: `${prefixes[0] ?? ""}:x`,
    asked,
    open: async (name) => {
      asked.push(name);
      return createBackendPair().near;
    },
  };
}

describe("a backend is opened by its name", () => {
  it("user and slirp are stacks, with the options that the name says", async () => {
    for (const name of ["user,net=10.9.8.0/24", "slirp,open"]) {
      await using backend = await openBackend(name);
      expect(backend).toBeInstanceOf(everywhere.Slirp);
      expect(backend.name).toBe("slirp");
    }
    const backend = (await openBackend("user,net=10.9.8.0/24")) as everywhere.Slirp;
    expect(JSON.stringify(backend.options)).toContain("10.9.8.");
    await backend.close();
  });

  it("ws and wss are URLs", async () => {
    const webSocket = WebSocket as unknown as WebSocketClass;
    await using backend = await openBackend("ws://127.0.0.1:9/l2/room", { webSocket });
    expect(backend).toBeInstanceOf(WebSocketBackend);
  });

  it("what is registered is asked; the longest prefix counts, and the later registration", async () => {
    const short = recordingKind("zz");
    const long = recordingKind("zzz", "zy");
    registerBackend(short);
    registerBackend(long);
    for (const name of ["zz0", "zzz0:a", "zy", "zz:b,c=d"]) await (await openBackend(name)).close();
    expect(short.asked).toEqual(["zz0", "zz:b,c=d"]);
    expect(long.asked).toEqual(["zzz0:a", "zy"]);
    const newer = recordingKind("zz");
    registerBackend(newer);
    await (await openBackend("zz1")).close();
    expect(newer.asked).toEqual(["zz1"]);
    expect(backendPrefixes()).toEqual(["zy", "zz", "zzz"]);
  });

  it.each(["", "foo:bar", "WS://x", "/user", "tun0"])(
    "an unknown one is refused, and what there is listed: %j",
    async (name) => {
      await expect(openBackend(name)).rejects.toMatchObject({
        code: ErrorCode.unknownBackend,
        message: expect.stringMatching(/slirp.*user.*ws:.*wss:.*"wss:\/\/relay/) as string,
      });
    },
  );

  it("one whose entry was not imported is refused with the entry's name", async () => {
    await expect(openBackend("tap:tap0")).rejects.toMatchObject({
      code: ErrorCode.unknownBackend,
      message: expect.stringContaining('import "slirp-wasm/tap"') as string,
    });
  });

  it.each(["userx", "user,nett=1", "slirp,hostfwd=x"])(
    "the rest of the name is the kind's to judge: %j",
    async (name) => {
      await expect(openBackend(name)).rejects.toMatchObject({
        code: ErrorCode.invalidConfiguration,
      });
    },
  );

  it("a stack without a host network says what is missing", async () => {
    await expect(everywhere.openBackend("user")).rejects.toMatchObject({
      code: ErrorCode.missingRequirement,
    });
  });

  it("a signal that is aborted already opens nothing", async () => {
    const reason = new Error("no");
    await expect(openBackend("user", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
