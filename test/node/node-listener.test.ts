/** What the listeners of Node's host network promise beyond the contract, on either kind of sockets. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ipEndpoint } from "../../src/address.js";
import { Readiness } from "../../src/host-network.js";
import { createNodeHostNetwork, type NodeHostNetwork } from "../../src/node/node-host-network.js";
import { howItEnds, PeerKit } from "../host-network-contract/peer-kit.js";
import { ListenerUser, sleep } from "../host-network-contract/stack-side.js";
import { whyNoNativeSockets } from "../support/native-sockets.js";

const MAX_WAITING = 128;

describe.each(["node", "native"] as const)(
  "a listener of Node's host network, sockets %s",
  (sockets) => {
    const peers = new PeerKit();
    let network: NodeHostNetwork;

    beforeEach((context) => {
      const missing = sockets === "native" ? whyNoNativeSockets() : undefined;
      if (missing !== undefined) context.skip(missing);
      network = createNodeHostNetwork({ sockets });
    });

    afterEach(async () => {
      await (network as NodeHostNetwork | undefined)?.close();
      await peers.close();
    });

    it("resets what comes when too many wait already, and keeps those", async (context) => {
      if (sockets === "native") context.skip("they wait in the kernel, which has its own limit");
      const listener = new ListenerUser(await network.listenStream(ipEndpoint("127.0.0.1", 0)));
      const { localEndpoint } = listener.socket;
      for (let i = 0; i < MAX_WAITING; i += 1) await peers.connect(localEndpoint);
      await sleep(50);
      expect(await howItEnds(peers.connecting(localEndpoint))).toBe("ECONNRESET");
      let waiting = 0;
      while (listener.tryAccept()) waiting += 1;
      expect(waiting).toBe(MAX_WAITING);
      await peers.connect(localEndpoint);
      await listener.edge(Readiness.readable);
      expect(listener.tryAccept()).toBeDefined();
    });

    it("resets what waits when it is closed", async () => {
      const listener = new ListenerUser(await network.listenStream(ipEndpoint("127.0.0.1", 0)));
      const peer = await peers.connect(listener.socket.localEndpoint);
      await listener.edge(Readiness.readable);
      listener.close();
      expect(await howItEnds(peer)).toBe("ECONNRESET");
    });

    it("says of a unix path that its server is gone", async () => {
      const path = peers.unixPath();
      const server = spawn(process.execPath, [
        "-e",
        `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log(1))`,
      ]);
      await once(server.stdout, "data");
      server.kill("SIGKILL");
      await once(server, "exit");
      const listening = network.listenStream({ family: "unix", path });
      await expect(listening).rejects.toMatchObject({ code: "EADDRINUSE" });
      await expect(listening).rejects.toThrow(/left it behind; remove it/);
    });

    it("does not say so of a path whose server lives", async () => {
      const { endpoint } = await peers.unixServer();
      await expect(network.listenStream(endpoint)).rejects.toThrow("something listens there");
    });

    it("says what is wrong with a path", async () => {
      const folder = network.listenStream({ family: "unix", path: "/no-such-folder/socket" });
      await expect(folder).rejects.toMatchObject({ code: "ENOENT" });
      await expect(folder).rejects.toThrow("the folder does not exist");
      const long = network.listenStream({ family: "unix", path: "/tmp/".padEnd(200, "x") });
      await expect(long).rejects.toMatchObject({ code: "EINVAL" });
    });

    it("that is still binding when the network is closed is not left open", async () => {
      const listening = network.listenStream(ipEndpoint("127.0.0.1", 0));
      const closing = network.close();
      await expect(listening).rejects.toMatchObject({ code: "ENETDOWN" });
      await closing;
    });
  },
);
