/**
 * Targets that have a path of their own.
 */
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/errors.js";
import { createRelay } from "../../src/relay.js";
import { RelayKit } from "./relay-kit.js";

const kit = new RelayKit();

async function echoPort(): Promise<number> {
  const { endpoint, connection } = await kit.peers.tcpServer();
  if (endpoint.family === "unix") throw new Error("not TCP");
  void connection().then((socket) => socket.pipe(socket));
  return endpoint.port;
}

describe("a path with a target", () => {
  it("leads there, by the subprotocol that websockify has, though the policy is closed", async () => {
    const port = await echoPort();
    const { url } = await kit.start({ websockify: { "/db": `127.0.0.1:${String(port)}` } });
    const socket = await kit.connect(`${url}db`, ["binary"]);
    expect(socket.protocol).toBe("binary");
    socket.send("through");
    const [answer] = (await once(socket, "message")) as [Buffer];
    expect(answer.toString()).toBe("through");
    expect(await kit.upgradeStatus(`${url}other`)).toMatch(/^404/);
    const direct = await kit.connect(`${url}127.0.0.1:${String(port)}`);
    expect((await once(direct, "close"))[0], "the policy is closed for others").toBe(1008);
  });

  it("may be the root, where else Wisp is", async () => {
    const port = await echoPort();
    const { url } = await kit.start({ websockify: { "/": `localhost:${String(port)}` } });
    const socket = await kit.connect(url);
    socket.send("x");
    expect(((await once(socket, "message")) as [Buffer])[0].toString()).toBe("x");
  });

  it("stands behind the token where there is one", async () => {
    const port = await echoPort();
    const { url } = await kit.start({
      tokens: ["s3cret"],
      websockify: { "/db": `127.0.0.1:${String(port)}` },
    });
    expect(await kit.upgradeStatus(url.replace("s3cret/", "db"))).toMatch(/^401/);
    expect(await kit.upgradeStatus(`${url}db`)).toBe("101");
  });

  it.each([
    { db: "127.0.0.1:1" },
    { "/db": "127.0.0.1" },
    { "/db": "127.0.0.1:0" },
    { "/db": "127.0.0.1:65536" },
    { "/db": "::1:80" },
    { "/d b": "127.0.0.1:80" },
  ])("is refused where it cannot be read: %j", (websockify) => {
    expect(() => createRelay({ websockify: websockify as Record<string, string> })).toThrow(
      expect.objectContaining({ code: ErrorCode.invalidConfiguration }),
    );
  });
});
