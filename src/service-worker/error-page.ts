/** What a browser shows where the guest has nothing to show: a page of plain HTML that says why. */

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", '"': "&quot;" };

function escape(text: string): string {
  return text.replace(/[&<"]/g, (character) => ENTITIES[character] ?? character);
}

/** @param why one or more sentences, as text. */
export function errorPage(status: number, title: string, why: string): Response {
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }</style>
<h1>${escape(title)}</h1>
<p>${escape(why)}</p>
<p><a href="">Try again</a></p>
</html>
`;
  const headers = { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" };
  return new Response(html, { status, headers });
}
