/** How TCP connections begin not at all, and how they end: FIN from either side first, RST from either side. */
import { expect, it, type TestContext } from "vitest";
import { closedPort, HostTcpServer } from "../../support/host/tcp-server.js";
import { attempt, errorText, makeRandomFile, succeed } from "../../support/guest-commands.js";
import type { GuestRig } from "../../support/rig.js";
import { waitUntil } from "../../support/wait-until.js";

const MIB = 1024 * 1024;
/** More than all buffers on the way hold, so that a reader that stops leaves data unread in the guest. */
const MORE_THAN_BUFFERS_BYTES = 8 * MIB;

const FAMILIES = [
  { family: "IPv4", loopback: "127.0.0.1", gateway: "10.0.2.2" },
  { family: "IPv6", loopback: "::1", gateway: "fec0::2" },
] as const;

export function describeEndsOfStreams(rigOf: (ctx: TestContext) => GuestRig): void {
  describeHalfClose(rigOf);
  describeRefusals(rigOf);
  describeResets(rigOf);
}

function describeHalfClose(rigOf: (ctx: TestContext) => GuestRig): void {
  it("passes the guest's FIN on, and the answer that comes only after it", async (ctx) => {
    const { guest } = rigOf(ctx);
    await using server = await HostTcpServer.start("127.0.0.1", (socket) => {
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString()));
      socket.on("end", () => socket.end(`answer to ${text}`));
    });
    const command = `printf question | nc 10.0.2.2 ${String(server.port)}`;
    expect(await succeed(guest, command)).toBe("answer to question");
    expect(await server.endOf(0)).toMatchObject({ sawFin: true, errorCode: undefined });
  });

  it("passes the server's FIN on, and what the guest still sends after it", async (ctx) => {
    const { guest } = rigOf(ctx);
    await using server = await HostTcpServer.start("127.0.0.1", (socket) => socket.end("bye\n"));
    const sha256 = await makeRandomFile(guest, "/tmp/rest", MIB);
    // Sent only once the guest has seen the end of what the server had to say.
    const text = await succeed(
      guest,
      `rm -f /tmp/said /tmp/go; mkfifo /tmp/go
      { cat /tmp/go >/dev/null; cat /tmp/rest; } | nc.openbsd -N 10.0.2.2 ${String(server.port)} >/tmp/said &
      until netstat -tn | grep -q ':${String(server.port)} .*CLOSE_WAIT'; do sleep 0.2; done
      echo >/tmp/go
      wait; cat /tmp/said; rm /tmp/rest /tmp/go`,
    );
    expect(text).toBe("bye");
    const end = await server.endOf(0);
    expect(end).toEqual({ bytes: MIB, sha256, sawFin: true, errorCode: undefined });
  });
}

function describeRefusals(rigOf: (ctx: TestContext) => GuestRig): void {
  it.for(FAMILIES)("shows a refused port as refused, over $family", async (family, ctx) => {
    const { guest } = rigOf(ctx);
    const { loopback, gateway } = family;
    const port = await closedPort(loopback);
    const { status, errorOutput } = await attempt(
      guest,
      `nc.openbsd -v -w 120 ${gateway} ${String(port)} </dev/null`,
    );
    expect(status).not.toBe(0);
    expect(Buffer.from(errorOutput).toString()).toContain("Connection refused");
  });
}

function describeResets(rigOf: (ctx: TestContext) => GuestRig): void {
  it("shows a server's RST in mid-stream as a reset", async (ctx) => {
    const { guest } = rigOf(ctx);
    await using server = await HostTcpServer.start("127.0.0.1", (socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun", () => {
          setTimeout(() => socket.resetAndDestroy(), 500);
        });
      });
    });
    const fetched = await attempt(guest, `wget -O - http://10.0.2.2:${String(server.port)}/`);
    expect(fetched.status).not.toBe(0);
    expect(errorText(fetched)).toContain("Connection reset by peer");
    expect(fetched.text).toBe("begun");
  });

  it("shows a guest's RST to the server as a reset", async (ctx) => {
    const { guest } = rigOf(ctx);
    await using server = await HostTcpServer.start("127.0.0.1", (socket) => {
      socket.write(Buffer.alloc(MORE_THAN_BUFFERS_BYTES));
    });
    // netcat has nowhere to write to, so data lies unread in its socket when it is killed: the kernel answers by RST.
    await succeed(
      guest,
      `rm -f /tmp/pipe; mkfifo /tmp/pipe; sleep 1000 </tmp/pipe & reader=$!
      sleep 20 | nc 10.0.2.2 ${String(server.port)} >/tmp/pipe & netcat=$!
      sleep 2; kill -9 $netcat; kill $reader; rm /tmp/pipe`,
    );
    await waitUntil("the connection has come", () => server.connectionCount === 1);
    expect((await server.endOf(0)).errorCode).toBe("ECONNRESET");
  });
}
