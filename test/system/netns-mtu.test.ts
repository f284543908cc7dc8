/** The largest MTU that `slirp-wasm netns` and slirp4netns take, used up by one packet. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { GuestNamespace, WHY_NO_NAMESPACES } from "../support/guest-namespace.js";
import { NetnsProcess, PROGRAMS } from "../support/netns-program.js";

/** A counter of /proc/net/snmp: a line of names, and one of numbers. */
function ipCounter(text: string, name: string): number {
  const [names = [], numbers = []] = text.split("\n").map((line) => line.split(" "));
  return Number(numbers[names.indexOf(name)]);
}

describe.skipIf(WHY_NO_NAMESPACES !== undefined).each(PROGRAMS)(
  "a namespace by $name",
  (program) => {
    it("carries a datagram that fills the largest MTU, unfragmented", async () => {
      await using guest = await GuestNamespace.create();
      const echo = createSocket("udp4");
      echo.on("message", (bytes, { port, address }) => {
        echo.send(bytes, port, address);
      });
      await once(echo.bind(0, "127.0.0.1"), "listening");
      const words = ["--configure", "--mtu=65521", String(guest.pid), "tap0"];
      await using process = await NetnsProcess.start(program, words);
      const [tap] = await guest.ip<{ mtu: number }[]>("address", "show", "tap0");
      expect(tap?.mtu).toBe(65_521);
      // Headers of IPv4 and UDP have 28 bytes.
      const script = `
        import { createSocket } from "node:dgram";
        const sent = Buffer.alloc(65_521 - 28, "datagram");
        const udp = createSocket("udp4");
        udp.on("message", (bytes) => { console.log(bytes.equals(sent)); process.exit(); });
        const ask = () => udp.send(sent, ${String(echo.address().port)}, "10.0.2.2");
        ask();
        setInterval(ask, 2000);`;
      try {
        expect(await guest.runScript(script)).toBe("true\n");
        const fragments = await guest.run("sh", "-c", "grep ^Ip: /proc/net/snmp");
        expect(ipCounter(fragments, "FragCreates")).toBe(0);
        expect(ipCounter(fragments, "ReasmReqds")).toBe(0);
        expect(process.child.exitCode).toBeNull();
      } finally {
        echo.close();
      }
    });
  },
);
