// Every operation of the OpenAPI document, each with a form that sends it.
import { duration, el, isAborted, problemBox, problemOf, send, size } from './parts.js';

/**
 * @typedef {{type?: string, enum?: string[]}} Schema
 * @typedef {{in: string, name: string, description: string, required?: boolean, example?: string, schema: Schema}} Parameter
 * @typedef {{summary: string, description?: string, tags: string[], parameters?: Parameter[], requestBody?: {content: Record<string, {example?: unknown}>}, responses: Record<string, {description: string}>}} Operation
 * @typedef {{info: {version: string, description: string}, tags: {name: string, description: string}[], paths: Record<string, Record<string, Operation>>}} OpenApi
 * @typedef {{parameter: Parameter, input: HTMLInputElement | HTMLSelectElement}} Field
 */

/** Of a body, as text; what goes beyond is only counted. */
const charsShown = 200_000;
/** A download is gathered in memory. */
const downloadBytesMax = 512 * 1024 * 1024;
const isText = (/** @type {string} */ type) => /^text\/|json|^$/.test(type);

/**
 * @param {Parameter} parameter
 * @param {string} id
 * @returns {Field}
 */
function fieldOf(parameter, id) {
  const { schema, example = '', required = false } = parameter;
  const choices = schema.enum ?? (schema.type === 'boolean' ? ['true', 'false'] : undefined);
  if (choices === undefined) {
    return { parameter, input: el('input', { id, value: example, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off' }) };
  }
  const options = [...(required ? [] : ['']), ...choices];
  return { parameter, input: el('select', { id }, ...options.map((value) => el('option', { value }, value))) };
}

/**
 * @param {string} path
 * @param {Field[]} fields
 */
function requestOf(path, fields) {
  let filled = path;
  const query = new URLSearchParams();
  /** @type {Record<string, string>} */
  const headers = {};
  for (const { parameter, input } of fields) {
    if (parameter.in === 'path') filled = filled.replace(`{${parameter.name}}`, () => encodeURIComponent(input.value));
    else if (input.value !== '' && parameter.in === 'query') query.set(parameter.name, input.value);
    else if (input.value !== '') headers[parameter.name] = input.value;
  }
  return { path: query.size === 0 ? filled : `${filled}?${query}`, headers };
}

/**
 * Shows a body as it comes: text as text, anything else as a file to save.
 * @param {Response} response
 * @param {HTMLElement} shown
 * @param {(bytes: number) => void} onBytes
 */
async function showBody(response, shown, onBytes) {
  if (response.body === null) return;
  const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? '';
  const text = isText(type) ? el('pre', { tabindex: 0 }) : undefined;
  if (text !== undefined) shown.append(text);
  const decoder = new TextDecoder();
  /** @type {BlobPart[]} */
  const parts = [];
  let bytes = 0;
  let chars = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    onBytes(bytes);
    if (bytes > downloadBytesMax) {
      await reader.cancel();
      shown.append(el('p', { class: 'about' }, `More than ${size(downloadBytesMax)}: ended here. Use curl for an answer of this size.`));
      break;
    }
    parts.push(value);
    if (text === undefined || chars >= charsShown) continue;
    const piece = decoder.decode(value, { stream: true });
    text.append(piece.slice(0, charsShown - chars));
    chars += piece.length;
  }
  if (text !== undefined && chars < charsShown && type.endsWith('json') && type !== 'application/x-ndjson') prettyPrint(text);
  if (chars >= charsShown) shown.append(el('p', { class: 'about' }, 'The rest is not shown; the file has all.'));
  if (bytes > 0 && (text === undefined || chars >= charsShown || type === 'text/csv')) {
    const name = `answer.${{ 'application/vnd.apache.arrow.stream': 'arrows', 'application/vnd.apache.parquet': 'parquet', 'text/csv': 'csv' }[type] ?? 'txt'}`;
    const href = URL.createObjectURL(new Blob(parts, { type }));
    shown.append(el('p', {}, el('a', { href, download: name }, `Save ${name}`), ` (${size(bytes)})`));
  }
}

/** @param {HTMLElement} pre */
function prettyPrint(pre) {
  try {
    const text = pre.textContent ?? '';
    // Numbers beyond 2^53 would be rounded by it.
    if (!/\d{16}/.test(text)) pre.textContent = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It stays as it came.
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Operation} operation
 * @param {string} id
 */
function buildOperation(method, path, operation, id) {
  const fields = (operation.parameters ?? []).map((parameter, at) => fieldOf(parameter, `${id}-${at}`));
  const contents = operation.requestBody?.content;
  const textOf = (/** @type {string} */ type) => {
    const example = contents?.[type]?.example;
    return typeof example === 'string' ? example : JSON.stringify(example, null, 2);
  };
  const types = Object.keys(contents ?? {});
  const type = el('select', { id: `${id}-type` }, ...types.map((name) => el('option', { value: name }, name)));
  const body = el('textarea', { 'id': `${id}-body`, 'rows': 6, 'spellcheck': 'false', 'aria-label': 'body' });
  body.value = types[0] === undefined ? '' : textOf(types[0]);
  type.addEventListener('change', () => {
    body.value = textOf(type.value);
    body.rows = Math.max(3, body.value.split('\n').length);
  });
  body.rows = Math.max(3, body.value.split('\n').length);
  const state = el('p', { class: 'state', role: 'status' });
  const shown = el('div');
  const cancel = el('button', { type: 'button', disabled: true, click: () => running?.abort() }, 'Cancel');
  /** @type {AbortController | undefined} */
  let running;

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    running?.abort();
    const mine = new AbortController();
    running = mine;
    cancel.disabled = false;
    shown.replaceChildren();
    state.textContent = 'sent …';
    const begun = performance.now();
    const request = requestOf(path, fields);
    try {
      const response = await send(request.path, {
        method,
        headers: { ...(contents === undefined ? {} : { 'content-type': type.value }), ...request.headers },
        ...(contents === undefined ? {} : { body: body.value }),
        signal: mine.signal,
      });
      const line = `${response.status} ${response.statusText}`.trim();
      const tell = (/** @type {number} */ bytes) => {
        state.textContent = `${line} · ${duration(performance.now() - begun)} · ${size(bytes)}`;
      };
      tell(0);
      const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n');
      shown.append(el('details', {}, el('summary', {}, 'Headers'), el('pre', {}, headers)));
      await showBody(response, shown, tell);
    } catch (error) {
      if (running !== mine) return;
      state.textContent = `${isAborted(error) ? 'cancelled' : 'failed'} after ${duration(performance.now() - begun)}`;
      if (!isAborted(error)) shown.append(problemBox(problemOf(error)));
    } finally {
      if (running === mine) {
        cancel.disabled = true;
        running = undefined;
      }
    }
  };

  const rows = fields.flatMap(({ parameter, input }) => [
    el('label', { for: input.id }, el('code', {}, parameter.name)),
    input,
    el('span', { class: 'about' }, ...coded(parameter.description)),
  ]);
  const answers = Object.entries(operation.responses).map(([status, { description }]) =>
    el(
      'tr',
      {},
      el('td', {}, el('code', {}, status)),
      el('td', {}, ...description.split('\n\n').map((part) => el('div', {}, ...coded(part)))),
    ),
  );
  return el(
    'details',
    { class: 'operation' },
    el(
      'summary',
      {},
      el('span', { class: 'method' }, method),
      el('span', { class: 'path' }, path),
      el('span', { class: 'about' }, ...coded(operation.summary)),
    ),
    el(
      'form',
      { submit },
      ...(operation.description === undefined ? [] : [el('p', { class: 'about' }, ...coded(operation.description))]),
      ...(rows.length === 0 ? [] : [el('div', { class: 'fields' }, ...rows)]),
      ...(contents === undefined ? [] : [el('p', {}, el('label', {}, 'body ', type)), body]),
      el('div', { class: 'bar' }, el('button', { type: 'submit' }, 'Send'), cancel),
    ),
    el('div', {}, state, shown, el('details', {}, el('summary', { class: 'about' }, 'What it may answer'), el('table', {}, ...answers))),
  );
}

/**
 * What stands between backticks, as code.
 * @param {string} text
 */
export function coded(text) {
  return text.split('`').map((part, at) => (at % 2 === 0 ? part : el('code', {}, part)));
}

/**
 * @param {OpenApi} api
 * @returns {HTMLElement[]}
 */
export function buildOperations({ tags, paths }) {
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  return tags.map(({ name, description }) =>
    el(
      'div',
      {},
      el('h3', {}, name, ' ', el('span', {}, description)),
      ...all
        .filter(({ operation }) => operation.tags.includes(name))
        .map(({ method, path, operation }, at) => buildOperation(method, path, operation, `${name}-${at}`)),
    ),
  );
}
