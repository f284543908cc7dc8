/**
 * The demo page: a Linux guest under v86, its network card on our stack, the stack's sockets on a relay or on fetch.
 */
import { element, messageOf } from "./dom.js";
import { addExamples } from "./examples.js";
import { GuestConsole } from "./guest-console.js";
import { Network } from "./network.js";
import { setUpCapture } from "./panels/capture-panel.js";
import { showConnections } from "./panels/connections-panel.js";
import { showLease } from "./panels/lease-panel.js";
import { showMessage } from "./panels/messages-panel.js";
import { NamesPanel } from "./panels/names-panel.js";
import { setUpPorts } from "./panels/ports-panel.js";
import { TrafficPanel } from "./panels/traffic-panel.js";
import { WebPanel } from "./panels/web-panel.js";
import { setUpSettings } from "./settings-form.js";
import { readChoice, readHostSettings } from "./settings.js";
import "./style.css";

const REDRAW_MS = 1000;

function showStatus(text: string, state: "idle" | "open" | "failed"): void {
  const status = element("status");
  status.textContent = text;
  status.dataset["state"] = state;
  showMessage(text);
}

/** The panels that follow the stack. */
function watch({ slirp }: Network): void {
  const traffic = new TrafficPanel();
  setInterval(() => {
    traffic.show(slirp.statistics());
    void showConnections(slirp);
  }, REDRAW_MS);
}

async function main(): Promise<void> {
  const host = await readHostSettings();
  const choice = readChoice(host);
  setUpSettings(choice, host);
  const names = new NamesPanel();
  const starting = Network.start(choice, host, {
    onStatus: showStatus,
    onMessage: showMessage,
    onQuery: (report) => {
      names.show(report);
    },
  });
  const base = new URL(host.guest ?? "image/", location.href);
  const openPort = async (name: string) => (await starting).openPort(name);
  const first = new GuestConsole("First guest", base, openPort("first"));
  const network = await starting;
  watch(network);
  setUpCapture(network);
  setUpPorts(network.slirp);
  const web = new WebPanel(network.slirp);
  const lease = await first.ready;
  showLease(lease);
  let second: GuestConsole | undefined;
  addExamples({
    first,
    lease,
    hello: network.hello,
    startSecond: () => (second ??= new GuestConsole("Second guest", base, openPort("second"))),
    showWeb: (port) => web.show(port),
  });
  first.terminal.focus();
}

main().catch((error: unknown) => {
  showStatus(messageOf(error), "failed");
});
