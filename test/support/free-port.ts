/** A TCP port that nothing listens at, for programs that want to be told one. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

export async function findFreePort(host = "127.0.0.1"): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
