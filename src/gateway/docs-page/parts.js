// What both halves of the page use: elements, requests with the token, and problem documents.

/**
 * @typedef {{title: string, detail: string, code: string, hint?: string, facts?: Record<string, unknown>}} Problem
 */

/**
 * An element with its attributes (functions are listeners) and children; text is always text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {Record<string, string | number | boolean | undefined | ((event: Event) => unknown)>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new TypeError(`the page has no ${id}`);
  return found;
}

/**
 * Asks the service that the page came from. The token is in its field and nowhere else.
 * @param {string} path from the root of the gateway
 * @param {Omit<RequestInit, 'headers'> & {headers?: Record<string, string>}} [init]
 * @returns {Promise<Response>}
 */
export function send(path, init = {}) {
  const token = byId('token', HTMLInputElement).value.trim();
  const headers = {
    ...(init.method === undefined || init.method === 'GET' ? {} : { 'x-thermocline': '1' }),
    ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
    ...init.headers,
  };
  return fetch(new URL(path.replace(/^\//, ''), document.baseURI), { ...init, headers, cache: 'no-store', credentials: 'omit' });
}

/** @param {number} ms */
export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** @param {unknown} error */
export function isAborted(error) {
  return error instanceof DOMException && error.name === 'AbortError';
}

/**
 * The problem of an answer that is none of ours or not there at all is told in the same form.
 * @param {unknown} error
 * @returns {Problem}
 */
export function problemOf(error) {
  return {
    title: 'No answer.',
    detail: error instanceof Error ? error.message : String(error),
    code: 'connection',
    hint: 'See whether the service runs, and whether a proxy between broke the connection off.',
  };
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemIn(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { title: response.statusText, detail: text.slice(0, 2000), code: String(response.status) };
  }
}

/**
 * The line of the text that the problem points to, with the character marked.
 * @param {Problem} problem
 * @param {string} sql
 */
function markedLine({ facts = {} }, sql) {
  const { line, column } = facts;
  if (typeof line !== 'number' || typeof column !== 'number') return [];
  const characters = Array.from(sql.split('\n')[line - 1] ?? '');
  const near = typeof facts['near'] === 'string' ? Array.from(facts['near']).length : 1;
  const end = Math.min(column - 1 + Math.max(1, near), Math.max(characters.length, column));
  const marked = characters.slice(column - 1, end).join('') || ' ';
  const pre = el('pre', {}, characters.slice(0, column - 1).join(''), el('mark', {}, marked), characters.slice(end).join(''));
  return [el('p', { class: 'about' }, `line ${line}, column ${column}`), pre];
}

/**
 * @param {Problem} problem
 * @param {string} sql what was asked; empty where it was no SQL
 */
export function problemBox(problem, sql = '') {
  return el(
    'div',
    { class: 'problem', role: 'alert' },
    el('p', {}, el('strong', {}, problem.detail), ' ', el('code', { class: 'about' }, problem.code)),
    ...markedLine(problem, sql),
    ...(problem.hint === undefined ? [] : [el('p', {}, problem.hint)]),
  );
}

/**
 * The lines of a stream as they come; bytes that are no whole line yet wait for the rest.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string>}
 */
export async function* linesOf(body) {
  const reader = body.pipeThrough(/** @type {ReadableWritablePair<string, Uint8Array>} */ (new TextDecoderStream())).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  if (rest !== '') yield rest;
}
