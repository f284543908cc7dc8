/**
 * Option lists: `name=value,name=value`, as `-netdev` of QEMU and `-s` of bhyve have them. Cuts the list, finds what is
 * unknown or said twice, and reads the values that are the same everywhere.
 */
import type { SourceText } from "./source-text.js";

/** One option of a list. */
export interface ListedOption {
  readonly name: SourceText;
  /** What stands behind the `=`; undefined where there is none. */
  readonly value: SourceText | undefined;
}

/** How a list is written and what may be in it. */
export interface OptionListForm {
  /** Whether two commas in a row stand for one in a value (QEMU), or there is no way to write one (bhyve). */
  readonly doubledCommas: boolean;
  readonly known: readonly string[];
  /** Those of `known` that may be there more than once. */
  readonly repeating: ReadonlySet<string>;
}

/** Cuts a list. Throws a SlirpError that points at the option for one that is unknown, empty or wrongly repeated. */
export function readOptionList(list: SourceText, form: OptionListForm): ListedOption[] {
  const seen = new Set<string>();
  return cutAtCommas(list, form.doubledCommas).map((piece) => {
    const equals = piece.value.indexOf("=");
    const name = equals < 0 ? piece : piece.slice(0, equals);
    refuseUnknown(name, form.known);
    if (seen.has(name.value) && !form.repeating.has(name.value)) {
      throw name.error(`the option ${name.quoted} is there twice`, "leave one of them out");
    }
    seen.add(name.value);
    if (equals < 0) return { name, value: undefined };
    const value = piece.slice(equals + 1);
    return { name, value: form.doubledCommas ? value.undouble(",") : value };
  });
}

function cutAtCommas(list: SourceText, doubledCommas: boolean): SourceText[] {
  if (!doubledCommas) return list.split(",");
  const pieces: SourceText[] = [];
  let start = 0;
  for (let index = 0; index < list.value.length; index++) {
    if (list.value.charAt(index) !== ",") continue;
    if (list.value.charAt(index + 1) === ",") {
      index++;
      continue;
    }
    pieces.push(list.slice(start, index));
    start = index + 1;
  }
  pieces.push(list.slice(start));
  return pieces;
}

function refuseUnknown(name: SourceText, known: readonly string[]): void {
  if (known.includes(name.value)) return;
  if (name.value === "") throw name.error("an option is missing", 'write "name=value"');
  const nearest = nearestOf(name.value, known);
  const remedy = nearest === undefined ? `write one of ${known.join(", ")}` : `write "${nearest}"`;
  throw name.error(`there is no option ${name.quoted}`, remedy);
}

/** The known word with the fewest slips of the pen, or undefined where more than half of the word would be slips. */
function nearestOf(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let fewest = Math.floor(Math.min(word.length, 32) / 2) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= fewest) continue;
    const distance = editDistance(word, candidate);
    if (distance < fewest) [best, fewest] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance: letters added, left out or changed. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + (a.charAt(i - 1) === b.charAt(j - 1) ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The value of an option that must have one. */
export function requireValue({ name, value }: ListedOption, example: string): SourceText {
  if (value !== undefined) return value;
  throw name.error(`the option ${name.quoted} has no value`, `write "${name.value}=${example}"`);
}

/** A text that is not empty: whoever wants none leaves the option out. */
export function readText(value: SourceText): string {
  if (value.value === "")
    throw value.error("the value is empty", "write one or leave the option out");
  return value.value;
}

/** The words for yes and for no, as a program takes them. */
export interface BooleanWords {
  readonly yes: readonly string[];
  readonly no: readonly string[];
}

/** A boolean. */
export function readBoolean(value: SourceText, { yes, no }: BooleanWords): boolean {
  if (yes.includes(value.value)) return true;
  if (no.includes(value.value)) return false;
  const words = [...yes, ...no].map((word) => `"${word}"`).join(", ");
  throw value.error(`the value is ${value.quoted}`, `write one of ${words}`);
}
