/** The few things that every panel does with the page. */

/** Finds an element of the page. */
export function element<Type extends HTMLElement = HTMLElement>(id: string): Type {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as Type;
}

/** Makes an element with text. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  text = "",
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** A button that does something, and shows why when it cannot. */
export function makeButton(label: string, act: () => unknown): HTMLButtonElement {
  const button = make("button", label);
  button.type = "button";
  button.addEventListener("click", () => void act());
  return button;
}

/** What stands in a cell: text, or an element. */
type Cell = string | HTMLElement;

/** Fills the body of a table; without rows, it says so. */
export function fillTable(id: string, columns: number, rows: readonly (readonly Cell[])[]): void {
  const body = rows.map((cells) => {
    const row = make("tr");
    for (const cell of cells) {
      const data = make("td");
      data.append(cell);
      row.append(data);
    }
    return row;
  });
  if (body.length === 0) {
    const row = make("tr");
    const data = make("td", "None yet");
    data.colSpan = columns;
    data.className = "none";
    row.append(data);
    body.push(row);
  }
  element(id).replaceChildren(...body);
}

/** A count of bytes as people read it. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${String(bytes)} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** An error's message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
