/** What happened, in plain words, newest first. */
import { element, make } from "../dom.js";

/** More than anybody reads. */
const MOST_MESSAGES = 100;

/** Adds a message, unless the last one said the same. */
export function showMessage(text: string): void {
  const list = element("messages");
  const [first] = list.children;
  if (first?.lastChild?.textContent === text) return;
  const item = make("p");
  const time = make("time", new Date().toLocaleTimeString());
  item.append(time, " ", make("span", text));
  list.prepend(item);
  list.children[MOST_MESSAGES]?.remove();
}
