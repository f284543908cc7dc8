/** Packets of all guests, captured in the page and saved as a file that Wireshark opens. */
import { element, formatBytes } from "../dom.js";
import type { Network } from "../network.js";

const REDRAW_MS = 500;

/** Makes the buttons work. */
export function setUpCapture(network: Network): void {
  const toggle = element<HTMLButtonElement>("capture");
  const save = element<HTMLButtonElement>("capture-save");
  const note = element("capture-note");
  const show = (): void => {
    const { capture, isCapturing } = network;
    toggle.textContent = isCapturing ? "Stop the capture" : "Capture packets";
    toggle.setAttribute("aria-pressed", String(isCapturing));
    save.disabled = capture.frames === 0;
    if (!isCapturing && capture.frames === 0) return;
    const lost = capture.droppedFrames;
    note.textContent =
      `${String(capture.frames)} frames, ${formatBytes(capture.bytes)}` +
      (lost === 0 ? "" : `; the ${String(lost)} oldest gave way`);
  };
  let timer: ReturnType<typeof setInterval> | undefined;
  toggle.addEventListener("click", () => {
    if (network.isCapturing) {
      network.stopCapture();
      clearInterval(timer);
    } else {
      network.startCapture();
      timer = setInterval(show, REDRAW_MS);
    }
    show();
  });
  save.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(network.capture.toBlob());
    link.download = "slirp-wasm.pcapng";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
