/** The form with the way out: chosen, kept, shared. A change starts the page anew, since connections cannot move. */
import { element } from "./dom.js";
import { keepChoice, shareLink, Way, type Choice, type HostSettings } from "./settings.js";

/** Shows a choice and makes the form work. */
export function setUpSettings(choice: Choice, host: HostSettings): void {
  const form = element<HTMLFormElement>("settings");
  const relay = element<HTMLInputElement>("relay");
  const ways = [...form.querySelectorAll<HTMLInputElement>("input[name=way]")];
  const worker = element<HTMLInputElement>("worker");
  const read = (): Choice => {
    const chosen = ways.find(({ checked }) => checked)?.value;
    const way = Object.values(Way).find((value) => value === chosen) ?? choice.way;
    return { way, relay: relay.value.trim(), worker: worker.checked };
  };
  const showField = (): void => {
    relay.disabled = read().way !== Way.wisp;
    relay.required = !relay.disabled;
  };
  for (const way of ways) {
    way.checked = way.value === choice.way;
    way.disabled = way.value === Way.page && host.relay === undefined;
    way.addEventListener("change", showField);
  }
  relay.value = choice.relay;
  worker.checked = choice.worker;
  showField();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keepChoice(read());
    location.reload();
  });
  element("share").addEventListener("click", () => {
    const link = shareLink(read());
    const note = element("settings-note");
    void navigator.clipboard.writeText(link).then(
      () => (note.textContent = "The link is in your clipboard."),
      () => (note.textContent = link),
    );
  });
}
