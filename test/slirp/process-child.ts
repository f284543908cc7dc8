/** What the cases of process-exit.test.ts do in a process of their own: make a stack, and then have nothing else to do. */
import { createSlirp } from "../../src/node.js";
import { RawGuest } from "../support/raw-guest.js";

const [, , wasm = "", task = ""] = process.argv;
const slirp = await createSlirp({ wasm });
const guest = new RawGuest(slirp);
guest.ping("10.0.2.2", Buffer.from("ping"));
await guest.until(() => guest.icmp.length > 0, "the answer");
if (task === "forward" || task === "forward-unref") await slirp.addForward("tcp:127.0.0.1:0-:80");
if (task === "forward-unref") slirp.unref();
if (task === "close") {
  await slirp.addForward("tcp:127.0.0.1:0-:80");
  await slirp.close();
}
process.stdout.write("ready\n");
