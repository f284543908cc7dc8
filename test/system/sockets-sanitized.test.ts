/** The addon for sockets under the sanitizers: the contract, what it leaves behind, and calls that no TypeScript makes. */
import { expect } from "vitest";
import { describeSanitized } from "../support/describe-sanitized.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";

const SUITES = ["native-contract", "native-datagram", "native-life", "node-stream"].map(
  (name) => `test/node/${name}.test.ts`,
);

/** What it shares with the other addons; errors of the system are thrown in the TAP's suites. */
const SHARED = ["throw.c"];

describeSanitized(
  ["sockets"],
  { missing: whyNoNativeSockets(), suites: SUITES, called: ["sockets"], exempt: SHARED },
  (test) => {
    test("leaks nothing of its own", async (build) => {
      const script = `
      const { createNodeHostNetwork, ipEndpoint } = await import("./dist/node.js");
      for (let round = 0; round < 50; round++) {
        const network = createNodeHostNetwork({ sockets: "native" });
        const listener = await network.listenStream(ipEndpoint("127.0.0.1", 0));
        const stream = network.connectStream(listener.localEndpoint);
        const datagram = network.openDatagram(4);
        datagram.sendTo(Uint8Array.of(1), ipEndpoint("127.0.0.1", datagram.localEndpoint.port));
        await new Promise((resolve) => { datagram.onReady = (events) => events & 1 && resolve(); });
        if (datagram.nextLength() !== 1) throw new Error("no datagram");
        stream.close();
        await network.close();
      }
      for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
      console.log("done");`;
      const ended = await build.runForLeaks(script);
      expect(ended.stdout).toBe("done\n");
      expect(build.ownReports).toEqual([]);
    });

    test("polls busily while answers come, until it ends in the middle of that", async (build) => {
      const script = `
        const { createNodeHostNetwork, ipEndpoint } = await import("./dist/node.js");
        const { createServer } = await import("node:net");
        const server = createServer({ noDelay: true }, (socket) => socket.on("error", () => {}).pipe(socket));
        await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
        for (let round = 0; round < 20; round++) {
          const network = createNodeHostNetwork({ sockets: "native", busyPollUs: 1000 });
          const stream = network.connectStream(ipEndpoint("127.0.0.1", server.address().port));
          const byte = new Uint8Array(1);
          let left = 100;
          await new Promise((resolve) => {
            stream.onReady = () => {
              while (stream.receive(byte) > 0) left--;
              if (left <= 0) resolve();
              else stream.send(byte);
            };
          });
          await network.close();
          gc();
        }
        server.close();
        console.log("done");`;
      const ended = await build.runForLeaks(script);
      expect(ended.stdout, ended.stderr).toBe("done\n");
      expect(build.ownReports).toEqual([]);
    });

    test("takes any arguments in any order, before and after its end, and answers or throws", async (build) => {
      const script = `
      const { createRequire } = await import("node:module");
      const path = process.env.SLIRP_WASM_ADDONS + "/sockets.node";
      const addon = createRequire(path)(path);
      const thrown = new Set();
      const values = [undefined, null, -1, 0, 1, 2 ** 20, 2 ** 20 + 1, 2 ** 31 - 1, 2 ** 40, NaN, "", "x", "\\0", "/nowhere/x".repeat(30),
        {}, [], true, false, new Uint8Array(0), new Uint8Array(8), new Uint8Array(24), new Uint8Array(70_000), new Int32Array(512),
        new Float64Array(9), new DataView(new ArrayBuffer(30)), Uint8Array.of(4, ...new Array(30).fill(0)),
        Uint8Array.of(6, ...new Array(30).fill(0)), Uint8Array.of(4, 0, 0, 9, 0, 0, 0, 0, 127, 0, 0, 1, ...new Array(20).fill(0))];
      const gone = new Uint8Array(100); structuredClone(gone, { transfer: [gone.buffer] }); values.push(gone);
      let seed = 7; const pick = () => values[(seed = (seed * 1103515245 + 12345) % 2147483648) % values.length];
      const attempt = (use) => { try { return use(); } catch (error) { thrown.add(error.constructor.name); } };
      for (let i = 0; i < 300; i++) attempt(() => addon.createPoller(pick(), pick(), pick())?.end());
      for (const name of ["interfaceIndex", "interfaceName"]) for (const value of values) attempt(() => addon[name](value));
      for (let round = 0; round < 20; round++) {
        const calls = addon.createPoller(new Int32Array(512), () => {}, (round % 3) * 100);
        const names = Object.keys(calls).filter((name) => name !== "end");
        const ids = [];
        for (let i = 0; i < 4000; i++) {
          const name = names[i % names.length];
          const id = i % 3 === 0 ? pick() : ids[i % (ids.length || 1)];
          const opens = /^(connect|listen|open)/.test(name);
          const answer = attempt(() => opens ? calls[name](pick(), pick()) : calls[name](id, pick(), pick()));
          if (answer > 0 && (opens || name === "accept")) ids.push(answer);
          if (i % 500 === 0) await new Promise(setImmediate);
        }
        const { receive, setReferenced } = calls;
        if (round % 2) { calls.end(); calls.end(); }
        for (const name of names) attempt(() => calls[name](ids[0] ?? 1, pick(), pick()));
        if (round % 2 && receive(ids[0] ?? 1, new Uint8Array(9)) !== -8) throw new Error("not EBADF");
        calls.end(); setReferenced(true);
      }
      gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
      console.log([...thrown].sort().join(" "));`;
      const ended = await build.runForLeaks(script);
      expect(ended.stdout, ended.stderr).toBe("TypeError\n");
      expect(build.ownReports).toEqual([]);
    });
  },
);
