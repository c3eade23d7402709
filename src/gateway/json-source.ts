/**
 * Where the parts of a JSON text lie in it. `JSON.parse` rounds integers beyond 2^53 and turns 1.0 into 1, so what is to be
 * stored as JSON is taken from the text as it came, never from what it was parsed to. All texts are valid JSON already.
 */

const stringToken = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const structure = /["{}[\]]/g;
const scalar = /[^,\]}\s]*/y;
const space = /\s*/y;

function endOf(token: RegExp, text: string, at: number): number {
  token.lastIndex = at;
  token.test(text);
  return token.lastIndex;
}

/** End of the value that begins at `at`. */
function valueEnd(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return endOf(stringToken, text, at);
  if (first !== '{' && first !== '[') return endOf(scalar, text, at);
  let depth = 0;
  structure.lastIndex = at;
  for (let found = structure.exec(text); found !== null; found = structure.exec(text)) {
    if (found[0] === '"') structure.lastIndex = endOf(stringToken, text, found.index);
    else depth += found[0] === '{' || found[0] === '[' ? 1 : -1;
    if (depth === 0) break;
  }
  return structure.lastIndex;
}

/** The text of each element of an array. */
export function jsonElements(text: string): string[] {
  const elements: string[] = [];
  let at = endOf(space, text, text.indexOf('[') + 1);
  while (text[at] !== ']') {
    const end = valueEnd(text, at);
    elements.push(text.slice(at, end));
    at = endOf(space, text, end);
    if (text[at] === ',') at = endOf(space, text, at + 1);
  }
  return elements;
}

/** The text of each member of an object by its name; of several of one name the last, as `JSON.parse` has it. */
export function jsonMembers(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = endOf(space, text, text.indexOf('{') + 1);
  while (text[at] !== '}') {
    const nameEnd = endOf(stringToken, text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const valueAt = endOf(space, text, text.indexOf(':', nameEnd) + 1);
    const end = valueEnd(text, valueAt);
    members.set(name, text.slice(valueAt, end));
    at = endOf(space, text, end);
    if (text[at] === ',') at = endOf(space, text, at + 1);
  }
  return members;
}

/** The text without white space between its tokens. */
export function compactJson(text: string): string {
  return text.replace(/("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g, '$1');
}
