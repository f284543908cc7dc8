// Numbered datagrams at a rate, and what of them comes. A program, for it runs in network namespaces:
//   send {"host","port","count","perSecond","bytes"}   perSecond null: as fast as it goes
//   count {"host","port"}                              prints {"port","received","repeated","dropped"} again and again
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";

const TICK_MS = 5;
/** Without a rate there is a pause after so many, so that the kernel gets to take them. */
const UNPACED_BURST = 64;
const RECEIVE_BUFFER_BYTES = 4 * 2 ** 20;

const [mode, text] = process.argv.slice(2);
const { host, port, count, perSecond, bytes } = JSON.parse(text);
const isSix = host.includes(":");
const socket = createSocket({
  type: isSix ? "udp6" : "udp4",
  recvBufferSize: RECEIVE_BUFFER_BYTES,
});

function sendOne(number) {
  const datagram = Buffer.alloc(bytes);
  datagram.writeUInt32BE(number);
  return new Promise((resolve, reject) => {
    socket.send(datagram, port, host, (error) => (error ? reject(error) : resolve()));
  });
}

async function sendAll() {
  const begin = performance.now();
  for (let sent = 0; sent < count;) {
    const elapsed = (performance.now() - begin) / 1000;
    const due = perSecond === null ? sent + UNPACED_BURST : Math.ceil(elapsed * perSecond);
    const taken = [];
    for (const end = Math.min(count, due); sent < end; sent++) taken.push(sendOne(sent));
    await Promise.all(taken);
    if (perSecond !== null) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  socket.close();
}

/** What the kernel had no room for in the socket: the last column (proc(5)). */
function droppedBySocket(localPort) {
  const hex = localPort.toString(16).toUpperCase().padStart(4, "0");
  const line = readFileSync(`/proc/net/udp${isSix ? "6" : ""}`, "latin1")
    .split("\n")
    .find((each) => each.trim().split(/\s+/)[1]?.endsWith(`:${hex}`));
  return Number(line?.trim().split(/\s+/).at(-1) ?? 0);
}

function countAll() {
  const seen = new Set();
  let received = 0;
  let repeated = 0;
  socket.on("message", (datagram) => {
    const number = datagram.readUInt32BE(0);
    if (seen.has(number)) repeated++;
    else received++;
    seen.add(number);
  });
  socket.bind(port, host, () => {
    const { port: bound } = socket.address();
    const tell = () => {
      console.log(
        JSON.stringify({ port: bound, received, repeated, dropped: droppedBySocket(bound) }),
      );
    };
    tell();
    setInterval(tell, 50);
  });
}

if (mode === "send") await sendAll();
else countAll();
