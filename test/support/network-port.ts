/** A port of this machine whose connections go through a host network: programs that we did not write can use it so. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import type { IpEndpoint } from "../../src/address.js";
import type { HostNetwork } from "../../src/host-network.js";
import { StreamUser } from "../host-network-contract/stack-side.js";

/** See the top of the file. */
export interface NetworkPort extends AsyncDisposable {
  readonly port: number;
}

/** Each connection to it becomes one of `network` to `remote`. */
export async function openNetworkPort(
  network: HostNetwork,
  remote: IpEndpoint,
): Promise<NetworkPort> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    const stream = network.connectStream(remote);
    if (typeof stream === "number") socket.resetAndDestroy();
    else void join(new StreamUser(stream), socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function join(user: StreamUser, socket: Socket): Promise<void> {
  if ((await user.connected()) !== 0) {
    socket.resetAndDestroy();
    return;
  }
  let isOver = false;
  socket.once("close", () => {
    isOver = true;
    user.close();
  });
  socket.on("data", (bytes: Buffer) => {
    socket.pause();
    void user.sendBytes(bytes).then(
      () => socket.resume(),
      () => undefined,
    );
  });
  socket.once("end", () => {
    if (!isOver) user.shutdownWrite();
  });
  const target = Buffer.alloc(64 * 1024);
  while (!isOver) {
    const count = await user.receive(target);
    if (isOver) return;
    if (count < 0) socket.resetAndDestroy();
    if (count === 0) socket.end();
    if (count <= 0) return;
    if (!socket.write(Buffer.from(target.subarray(0, count)))) {
      await Promise.race([once(socket, "drain"), once(socket, "close")]);
    }
  }
}
