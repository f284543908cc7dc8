/** What the page shows of the network: lease, traffic, connections. Each is drawn anew once a second, when it is seen. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Slirp } from "slirp-wasm/browser";
import type { Fact } from "./guest.js";

const SECONDS = 60;

/** Finds an element of the page. */
export function element<Type extends HTMLElement = HTMLElement>(id: string): Type {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as Type;
}

/** The lease's facts in words. */
export function showLease(facts: readonly Fact[]): void {
  const names: readonly (readonly [key: string, name: string])[] = [
    ["address", "IPv4 address"],
    ["inet6", "IPv6 address"],
    ["gateway", "Gateway"],
    ["dns", "Name server"],
    ["mac", "MAC address"],
  ];
  const rows = names.flatMap(([key, name]) => {
    const values = facts.filter((fact) => fact.key === key).map(({ value }) => value);
    if (values.length === 0) return [];
    const term = document.createElement("dt");
    term.textContent = name;
    const description = document.createElement("dd");
    description.textContent = values.join(", ");
    return [term, description];
  });
  element("lease").replaceChildren(...rows);
}

/** Draws traffic and connections of a stack until it is told to stop. */
export function watch(slirp: Slirp): () => void {
  const host = element("plot");
  host.replaceChildren();
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 } };
  const series = (stroke: string) => ({ stroke, width: 2 });
  const seconds = Array.from({ length: SECONDS }, (_, index) => index - SECONDS + 1);
  const down = new Array<number>(SECONDS).fill(0);
  const up = new Array<number>(SECONDS).fill(0);
  const plot = new uPlot(
    {
      width: host.clientWidth,
      height: 150,
      cursor: { show: false },
      legend: { show: false },
      scales: { x: { time: false }, y: { range: (_, _min, max) => [0, Math.max(max, 1000)] } },
      axes: [
        { ...axis, values: (_, values) => values.map((value) => `${String(value)} s`) },
        { ...axis, size: 70, values: (_, values) => values.map(rate) },
      ],
      series: [{}, series(color("--down")), series(color("--up"))],
    },
    [seconds, down, up],
    host,
  );
  let before = slirp.statistics();
  const timer = setInterval(() => {
    const now = slirp.statistics();
    down.shift();
    down.push(now.bytesToGuest - before.bytesToGuest);
    up.shift();
    up.push(now.bytesFromGuest - before.bytesFromGuest);
    before = now;
    plot.setSize({ width: host.clientWidth, height: 150 });
    plot.setData([seconds, down, up]);
    element("totals").textContent =
      `${size(now.bytesToGuest)} to the guest, ${size(now.bytesFromGuest)} from it`;
    showConnections(slirp.connectionInfo());
  }, 1000);
  return () => {
    clearInterval(timer);
    plot.destroy();
  };
}

/** libslirp's own table: `  TCP[ESTABLISHED]   24   10.0.2.15 41010   127.0.0.1 8000   0   0`. */
function showConnections(text: string): void {
  const rows = text.split("\n").flatMap((line) => {
    const match = /^\s*(\w+)\[(\w+)\]\s+-?\d+\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\d+)\s+(\d+)/.exec(
      line,
    );
    if (!match) return [];
    const [, protocol, state, guest, guestPort, to, toPort, received, sent] = match;
    const queued = Number(received) + Number(sent);
    return [[`${protocol} ${state}`, `${guest}:${guestPort}`, `${to}:${toPort}`, size(queued)]];
  });
  const body = rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(
      ...cells.map((cell) => {
        const data = document.createElement("td");
        data.textContent = cell ?? "";
        return data;
      }),
    );
    return row;
  });
  if (body.length === 0) {
    const row = document.createElement("tr");
    const data = document.createElement("td");
    data.colSpan = 4;
    data.className = "none";
    data.textContent = "None at the moment";
    row.append(data);
    body.push(row);
  }
  element("connections").replaceChildren(...body);
}

function size(bytes: number): string {
  if (bytes < 1000) return `${String(bytes)} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

function rate(bytesPerSecond: number): string {
  return `${size(bytesPerSecond)}/s`;
}
