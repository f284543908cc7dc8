/**
 * The demo page: a Linux guest under v86, its network card on our stack, the stack's sockets on a Wisp relay.
 */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { createSlirp, type RelayStatus, type Slirp } from "slirp-wasm/browser";
import { attachV86 } from "slirp-wasm/v86";
import { Guest } from "./guest.js";
import { element, showLease, watch } from "./panels.js";
import {
  chosenRelay,
  keepRelay,
  readHostSettings,
  shareLink,
  type HostSettings,
} from "./settings.js";
import "./style.css";

const encoder = new TextEncoder();

/** What the guest's prompt ends with: "#". */
const PROMPT = 0x23;

function showStatus(text: string, state: "idle" | "open" | "failed"): void {
  const status = element("status");
  status.textContent = text;
  status.dataset["state"] = state;
}

/** A relay's status in words. */
function showRelay({ state, url, message }: RelayStatus): void {
  const { host } = new URL(url);
  const words: Record<RelayStatus["state"], string> = {
    idle: `Not connected to ${host}`,
    connecting: `Connecting to ${host}`,
    open: `Connected through ${host}`,
    waiting: `${host} cannot be reached: ${message}`,
    closed: "Closed",
  };
  showStatus(words[state], state === "open" ? "open" : state === "waiting" ? "failed" : "idle");
}

function openTerminal(): { terminal: Terminal; fit: FitAddon } {
  const terminal = new Terminal({
    fontFamily: "ui-monospace, monospace",
    fontSize: 14,
    cursorBlink: true,
    scrollback: 5000,
    screenReaderMode: true,
    theme: { background: "#0d1117", foreground: "#e3e9f0" },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(element("terminal"));
  fit.fit();
  return { terminal, fit };
}

function showProgress(text: string, part: number | undefined): void {
  element("progress").hidden = false;
  element("progress-text").textContent = text;
  const bar = element<HTMLProgressElement>("progress-bar");
  if (part === undefined) bar.removeAttribute("value");
  else bar.value = part;
}

function addExamples(guest: Guest, terminal: Terminal, { hello }: HostSettings): void {
  const examples: readonly (readonly [label: string, command: string | undefined])[] = [
    ["Fetch a page", hello && `wget -qO- ${hello}`],
    ["Addresses", "ip address show eth0"],
    ["Ping the gateway", "ping -c 3 10.0.2.2"],
  ];
  const buttons = examples.flatMap(([label, command]) => {
    if (command === undefined) return [];
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.title = command;
    button.addEventListener("click", () => {
      guest.type(encoder.encode(`${command}\r`));
      terminal.focus();
    });
    return [button];
  });
  element("examples").replaceChildren(...buttons);
}

function setUpSettings(relay: string | undefined): void {
  const input = element<HTMLInputElement>("relay");
  input.value = relay ?? "";
  element("settings").addEventListener("submit", (event) => {
    event.preventDefault();
    keepRelay(input.value.trim());
    location.reload();
  });
  element("share").addEventListener("click", () => {
    const link = shareLink(input.value.trim());
    void navigator.clipboard.writeText(link).then(
      () => (element("settings-note").textContent = "The link is in your clipboard."),
      () => (element("settings-note").textContent = link),
    );
  });
}

async function startStack(relay: string, { dnsServers }: HostSettings): Promise<Slirp> {
  return createSlirp({
    relay,
    wisp: { onStatus: showRelay, ...(dnsServers && { dnsServers }) },
  });
}

async function main(): Promise<void> {
  const { terminal, fit } = openTerminal();
  const settings = await readHostSettings();
  const relay = chosenRelay(settings);
  setUpSettings(relay);
  if (relay === undefined) {
    showStatus("No relay is named: enter the URL of one below", "failed");
    element("relay").focus();
    return;
  }
  let isPrompting = (): void => undefined;
  const prompted = new Promise<void>((resolve) => (isPrompting = resolve));
  const base = new URL(settings.guest ?? "guest/", location.href);
  const [guest, slirp] = await Promise.all([
    Guest.start(base, {
      onOutput: (bytes) => {
        terminal.write(bytes);
        if (bytes.includes(PROMPT)) isPrompting();
      },
      onProgress: showProgress,
    }),
    startStack(relay, settings),
  ]);
  attachV86(guest.emulator, slirp, { nic: "virtio" });
  terminal.onData((text) => {
    guest.type(encoder.encode(text));
  });
  terminal.onBinary((text) => {
    guest.type(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  });
  new ResizeObserver(() => {
    fit.fit();
  }).observe(element("terminal"));
  terminal.onResize(({ cols, rows }) => {
    void guest.resize(cols, rows);
  });
  watch(slirp);
  showStatus(`Ready; ${new URL(relay).host} is connected to when the guest needs it`, "idle");
  showProgress("Asking for an address", undefined);
  showLease(await guest.configureNetwork());
  element("progress").hidden = true;
  guest.openShell(terminal.cols, terminal.rows);
  await prompted;
  addExamples(guest, terminal, settings);
  terminal.focus();
}

main().catch((error: unknown) => {
  element("progress").hidden = true;
  showStatus(error instanceof Error ? error.message : String(error), "failed");
});
