/** The throughput of the last minute, drawn anew once a second. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { BackendStatistics } from "slirp-wasm/browser";
import { element, formatBytes } from "../dom.js";

const SECONDS = 60;
const HEIGHT_PIXELS = 150;

/** See the top of the file. */
export class TrafficPanel {
  readonly #host = element("plot");
  readonly #down = new Array<number>(SECONDS).fill(0);
  readonly #up = new Array<number>(SECONDS).fill(0);
  readonly #seconds = Array.from({ length: SECONDS }, (_, index) => index - SECONDS + 1);
  readonly #plot: uPlot;
  #before: BackendStatistics | undefined;

  constructor() {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 } };
    const options: uPlot.Options = {
      width: this.#host.clientWidth,
      height: HEIGHT_PIXELS,
      cursor: { show: false },
      legend: { show: false },
      scales: { x: { time: false }, y: { range: (_, _min, max) => [0, Math.max(max, 1000)] } },
      axes: [
        { ...axis, values: (_, values) => values.map((value) => `${String(value)} s`) },
        {
          ...axis,
          size: 70,
          values: (_, values) => values.map((value) => `${formatBytes(value)}/s`),
        },
      ],
      series: [{}, { stroke: color("--down"), width: 2 }, { stroke: color("--up"), width: 2 }],
    };
    this.#plot = new uPlot(options, [this.#seconds, this.#down, this.#up], this.#host);
  }

  /** Adds a second. */
  show(now: BackendStatistics): void {
    const before = this.#before ?? now;
    this.#down.shift();
    this.#down.push(now.bytesToGuest - before.bytesToGuest);
    this.#up.shift();
    this.#up.push(now.bytesFromGuest - before.bytesFromGuest);
    this.#before = now;
    this.#plot.setSize({ width: this.#host.clientWidth, height: HEIGHT_PIXELS });
    this.#plot.setData([this.#seconds, this.#down, this.#up]);
    element("total-down").textContent = `${formatBytes(now.bytesToGuest)} to the guest`;
    element("total-up").textContent = `${formatBytes(now.bytesFromGuest)} from it`;
  }
}
