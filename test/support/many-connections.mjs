// Many TCP connections at once, for programs in network namespaces:
//   serve HOST         echoes; prints its port, then how many connections it has, whenever that has changed
//   connect HOST PORT  obeys lines: "open N" opens so many more and prints "opened GOOD FAILED", "echo" has each one echo its number and prints
//                      "echoed N", "close" ends all in good order and prints "closed N"
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

/** Handshakes at a time: a listener's queue has room for them. */
const AT_ONCE = 256;

const [mode, host, port] = process.argv.slice(2);

function serve() {
  let count = 0;
  let told = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    count++;
    socket.on("error", () => {});
    socket.on("close", () => count--);
    socket.pipe(socket);
  });
  server.listen({ host, port: 0, backlog: 4096 }, () => console.log(server.address().port));
  setInterval(() => {
    if (count !== told) console.log(count);
    told = count;
  }, 50);
}

const sockets = new Set();

function openOne() {
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) });
    socket.once("connect", () => {
      sockets.add(socket);
      resolve(true);
    });
    socket.on("error", () => resolve(false));
    socket.on("close", () => sockets.delete(socket));
  });
}

/** Does it for all, some at a time; answers for how many it did it well. */
async function countGood(items, act) {
  let next = 0;
  let good = 0;
  const work = async () => {
    while (next < items.length) if (await act(items[next], next++)) good++;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return good;
}

function echoOne(socket, number) {
  const text = `connection ${number}`;
  return new Promise((resolve) => {
    let answer = "";
    const take = (chunk) => {
      answer += chunk;
      if (answer.length >= text.length) end();
    };
    const end = () => {
      socket.off("data", take).off("close", end);
      resolve(answer === text);
    };
    socket.on("data", take).on("close", end);
    socket.write(text);
  });
}

function endOne(socket) {
  return new Promise((resolve) => {
    socket.once("close", (hadError) => resolve(!hadError));
    socket.resume().end();
  });
}

async function obey(word, count) {
  if (word === "open") {
    const good = await countGood(Array.from({ length: count }), openOne);
    return `opened ${good} ${count - good}`;
  }
  const all = [...sockets];
  if (word === "echo") return `echoed ${await countGood(all, echoOne)}`;
  return `closed ${await countGood(all, endOne)}`;
}

if (mode === "serve") serve();
else {
  for await (const line of createInterface(process.stdin)) {
    const [word, count] = line.split(" ");
    console.log(await obey(word, Number(count)));
  }
  process.exit();
}
