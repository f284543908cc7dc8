/** Ports on the relay's machine that lead into the guest: opened and closed here. */
import type { HostForward, SlirpBackend } from "slirp-wasm/browser";
import { element, fillTable, makeButton, messageOf } from "../dom.js";

/** Makes the form work. */
export function setUpPorts(slirp: SlirpBackend): void {
  const note = element("ports-note");
  const guestPort = element<HTMLInputElement>("guest-port");
  const hostPort = element<HTMLInputElement>("host-port");
  const show = async (): Promise<void> => {
    const rows = (await slirp.forwards()).map((forward) => [
      describeHost(forward),
      `port ${String(forward.guestPort)}`,
      makeButton("Close", async () => {
        await slirp.removeForward(forward);
        await show();
      }),
    ]);
    fillTable("forwards", 3, rows);
  };
  element("ports").addEventListener("submit", (event) => {
    event.preventDefault();
    note.textContent = "Opening the port";
    const rule = `tcp::${hostPort.value || "0"}-:${guestPort.value}`;
    slirp
      .addForward(rule)
      .then((forward) => {
        note.textContent = `Open: ${describeHost(forward)}`;
        return show();
      })
      .catch((error: unknown) => {
        note.textContent = messageOf(error);
      });
  });
  void show();
}

function describeHost({ host }: HostForward): string {
  return "path" in host ? host.path : `${host.address}:${String(host.port)}`;
}
