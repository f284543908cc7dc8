import { afterEach, describe, expect, it, vi } from "vitest";
import { decodeFacts, encodeCommand, GuestAgent } from "../../src/cli/guest-agent.js";
import { readGuestNetwork } from "../../src/cli/guest-network.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";

/** An agent whose guest is the test: what is sent, and a way to answer. */
function createAgent(events: ConstructorParameters<typeof GuestAgent>[1] = {}) {
  const sent: string[] = [];
  const agent = new GuestAgent((bytes) => sent.push(Buffer.from(bytes).toString()), events);
  const answer = (text: string) => agent.receive(Buffer.from(text));
  return { agent, sent, answer };
}

afterEach(() => {
  vi.useRealTimers();
});

describe("GuestAgent", () => {
  it("keeps the answers of requests apart that are under way together", async () => {
    const { agent, sent, answer } = createAgent();
    const first = agent.request("one", ["a", "b"]);
    const second = agent.request("two");
    expect(sent).toEqual(["1 one a b\n", "2 two\n"]);
    answer("2 key some value\n1 key other\n2 exit 3\n1 exit 0\n");
    expect(await second).toEqual({ status: 3, facts: [{ key: "key", value: "some value" }] });
    expect(await first).toEqual({ status: 0, facts: [{ key: "key", value: "other" }] });
  });

  it("takes bytes in pieces of any size, and passes over what is no answer", async () => {
    const { agent, answer } = createAgent();
    const request = agent.request("ping");
    const text = "SeaBIOS\r\n\x1bc 1 exit 9\n7 exit 1\n1 note häh?\r\n1 exit 0\n";
    for (const byte of Buffer.from(text)) agent.receive(Uint8Array.of(byte));
    answer("1 exit 5\n");
    expect(await request).toEqual({ status: 0, facts: [{ key: "note", value: "häh?" }] });
  });

  it("tells what comes unasked, and that an answer is complete before it gives it", async () => {
    const told: string[] = [];
    const { agent, answer } = createAgent({
      onReady: () => told.push("ready"),
      onPoweroff: () => told.push("poweroff"),
      onBeforeAnswer: () => told.push("answer"),
    });
    const request = agent.request("ping").then(() => told.push("answered"));
    answer("0 ready\n0 unknown\n1 exit 0\n0 poweroff\n");
    await request;
    expect(told).toEqual(["ready", "answer", "poweroff", "answered"]);
  });

  it("ends a command whose signal is aborted, and waits until the guest has ended it", async () => {
    const { agent, sent, answer } = createAgent();
    const abort = new AbortController();
    let outcome: unknown;
    const request = agent.request("run", [], { signal: abort.signal }).catch((error: unknown) => {
      outcome = error;
    });
    abort.abort("enough");
    expect(sent).toEqual(["1 run\n", "2 stop 1\n"]);
    await Promise.resolve();
    expect(outcome).toBeUndefined();
    answer("1 exit 143\n2 exit 0\n");
    await request;
    expect(outcome).toBe("enough");
  });

  it("asks for nothing when the signal was aborted before", async () => {
    const { agent, sent } = createAgent();
    const request = agent.request("run", [], { signal: AbortSignal.abort("no") });
    await expect(request).rejects.toBe("no");
    expect(sent).toEqual([]);
  });

  it("gives up on a guest that does not answer, not even that it has ended the command", async () => {
    vi.useFakeTimers();
    const { agent, sent } = createAgent();
    const outcome = expect(agent.request("net", [], { timeoutMs: 1000 })).rejects.toMatchObject({
      code: ErrorCode.guestFailed,
      message: expect.stringContaining("within 1 s") as string,
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(sent).toEqual(["1 net\n", "2 stop 1\n"]);
    await vi.advanceTimersByTimeAsync(60_000);
    await outcome;
    expect(vi.getTimerCount()).toBe(0);
  });

  it("rejects what is under way and what is asked later once the guest is gone", async () => {
    const { agent } = createAgent();
    const gone = new SlirpError(ErrorCode.closed, "gone");
    const underWay = expect(agent.request("ping", [], { timeoutMs: 1000 })).rejects.toBe(gone);
    agent.fail(gone);
    agent.fail(new Error("a second reason is not the reason"));
    await underWay;
    await expect(agent.request("ping")).rejects.toBe(gone);
  });

  it("refuses a command that the guest's terminal could not hold", async () => {
    const { agent, sent } = createAgent();
    const request = agent.request("capture", [encodeCommand("x".repeat(60_000))]);
    await expect(request).rejects.toMatchObject({ code: ErrorCode.invalidConfiguration });
    expect(sent).toEqual([]);
  });
});

describe("decodeFacts", () => {
  it("joins the pieces of one key", () => {
    const piece = (key: string, text: string) => ({ key, value: encodeCommand(text) });
    const facts = [piece("output", "ab"), piece("error", "x"), piece("output", "c")];
    expect(Buffer.from(decodeFacts(facts, "output")).toString()).toBe("abc");
    expect(decodeFacts(facts, "other")).toHaveLength(0);
  });
});

describe("readGuestNetwork", () => {
  it("reads a lease and the addresses that the guest has made itself", () => {
    const lines = [
      "address 10.0.2.15",
      "prefixLength 24",
      "gateway 10.0.2.2",
      "dns 10.0.2.3 10.0.2.4",
      "search a.test b.test",
      "mtu 1400",
      "leaseSeconds 86400",
      "inet6 fd00::5054:ff:fe12:3456/64",
      "route6 fe80::2",
      "mac 52:54:00:12:34:56",
    ];
    const facts = lines.map((line) => {
      const [key = "", ...rest] = line.split(" ");
      return { key, value: rest.join(" ") };
    });
    expect(readGuestNetwork(facts)).toEqual({
      macAddress: "52:54:00:12:34:56",
      address: "10.0.2.15",
      prefixLength: 24,
      gateway: "10.0.2.2",
      nameservers: ["10.0.2.3", "10.0.2.4"],
      domain: undefined,
      searchDomains: ["a.test", "b.test"],
      hostname: undefined,
      mtuBytes: 1400,
      leaseSeconds: 86400,
      server: undefined,
      nextServer: undefined,
      tftpServer: undefined,
      bootFile: undefined,
      ipv6Addresses: [{ address: "fd00::5054:ff:fe12:3456", prefixLength: 64 }],
      ipv6Gateway: "fe80::2",
    });
  });

  it("leaves empty what nobody told the guest", () => {
    const network = readGuestNetwork([{ key: "mac", value: "52:54:00:12:34:56" }]);
    expect(network.address).toBeUndefined();
    expect(network.nameservers).toEqual([]);
    expect(network.ipv6Addresses).toEqual([]);
  });
});
