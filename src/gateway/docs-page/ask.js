// SQL and its answer: streamed as lines with progress, rows as arrays (objects keep neither the order of columns nor two of a name), shown as a table.
import { byId, duration, el, isAborted, linesOf, problemBox, problemIn, problemOf, send, size } from './parts.js';

/** More rows than anyone reads in a page; the query is ended behind them. */
const rowsShown = 1000;
/** Of a cell; what is longer may break. */
const charsOfLine = 40;
/** Rows that are put into the table at once. */
const rowsAtOnce = 100;

/** @typedef {{name: string, type: string}} Column */

/** Types whose values stand to the right; those beyond 2^53 come as texts. */
const numeric = /^(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\))$/;

/**
 * @param {unknown} value
 * @param {boolean} isNumber
 */
function cell(value, isNumber) {
  if (value === null) return el('td', { class: isNumber ? 'null number' : 'null' }, 'null');
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (isNumber) return el('td', { class: 'number' }, text);
  return el('td', { class: text.length > charsOfLine ? 'long' : 'short' }, text);
}

/** @param {Record<string, unknown>} stats */
function statsLine(stats) {
  const number = (/** @type {string} */ name) => Number(stats[name] ?? 0);
  const plural = (/** @type {number} */ n, /** @type {string} */ one) => `${n.toLocaleString('en')} ${one}${n === 1 ? '' : 's'}`;
  return [
    plural(number('rows'), 'row'),
    duration(number('elapsed_ms')),
    `${plural(number('hot_rows'), 'hot row')} · ${plural(number('cold_files'), 'cold file')}, ${size(number('cold_bytes'))}`,
    `${plural(number('pruned_files'), 'file')} pruned`,
    `${size(number('read_bytes'))} fetched in ${plural(number('requests'), 'request')}`,
  ].join(' · ');
}

/** @param {{phase: string, rows: number, bytes: number, files: number, percent: number, elapsed_ms: number}} progress */
function progressLine({ phase, rows, bytes, files, percent, elapsed_ms: elapsedMs }) {
  const estimate = percent < 0 ? '' : ` · ${percent} %`;
  return `${phase} · ${rows} rows · ${size(bytes)} in ${files} cold files · ${duration(elapsedMs)}${estimate}`;
}

/** A table that grows. */
class Rows {
  body = el('tbody');
  /** @type {HTMLTableRowElement[]} */
  waiting = [];
  count = 0;

  /** @param {readonly Column[]} columns */
  constructor(columns) {
    this.isNumber = columns.map(({ type }) => numeric.test(type));
    const heads = columns.map(({ name, type }, at) =>
      el('th', { scope: 'col', title: type, ...(this.isNumber[at] ? { class: 'number' } : {}) }, name),
    );
    this.element = el(
      'div',
      { class: 'rows', tabindex: 0, role: 'region', 'aria-label': 'rows' },
      el('table', {}, el('thead', {}, el('tr', {}, ...heads)), this.body),
    );
  }

  /** @param {readonly unknown[]} row */
  add(row) {
    this.count++;
    this.waiting.push(el('tr', {}, ...row.map((value, at) => cell(value, this.isNumber.at(at) === true))));
    if (this.waiting.length >= rowsAtOnce) this.show();
  }

  show() {
    this.body.append(...this.waiting);
    this.waiting = [];
  }
}

/**
 * @param {string} sql
 * @param {AbortController} stop
 * @param {HTMLElement} state
 * @param {HTMLElement} answer
 */
async function ask(sql, stop, state, answer) {
  const asOf = byId('as-of', HTMLInputElement).value.trim();
  const body = JSON.stringify({ sql, format: 'ndjson-arrays', progress: true, ...(asOf === '' ? {} : { as_of: asOf }) });
  const begun = performance.now();
  const response = await send('v1/query', { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal: stop.signal });
  if (!response.ok || response.body === null) {
    state.textContent = `${response.status} after ${duration(performance.now() - begun)}`;
    const problem = await problemIn(response);
    answer.append(problemBox(problem, sql));
    if (response.status === 401) byId('token', HTMLInputElement).focus();
    return;
  }
  /** @type {Rows | undefined} */
  let rows;
  for await (const text of linesOf(response.body)) {
    const line = JSON.parse(text);
    if (line._columns !== undefined) {
      rows = new Rows(line._columns);
      answer.append(rows.element);
      continue;
    }
    if (Array.isArray(line) && rows !== undefined && rows.count < rowsShown) {
      rows.add(line);
      continue;
    }
    rows?.show();
    if (line._progress !== undefined) {
      state.textContent = progressLine(line._progress);
    } else if (line._error !== undefined) {
      state.textContent = `failed after ${duration(performance.now() - begun)}`;
      answer.prepend(problemBox(line._error, sql));
    } else if (line._end !== undefined) {
      state.textContent = statsLine(line._end.stats);
      answer.append(el('details', {}, el('summary', {}, 'Snapshot and stats'), el('pre', {}, JSON.stringify(line._end, null, 2))));
    } else {
      state.textContent = `The first ${rowsShown} rows, after ${duration(performance.now() - begun)}; the query was ended there. Add LIMIT, or download the answer with POST /v1/query below.`;
      return;
    }
  }
}

export function readyToAsk() {
  const form = byId('ask', HTMLFormElement);
  const sql = byId('sql', HTMLTextAreaElement);
  const state = byId('ask-state', HTMLElement);
  const answer = byId('ask-answer', HTMLElement);
  const cancel = byId('ask-cancel', HTMLButtonElement);
  /** @type {AbortController | undefined} */
  let running;
  cancel.addEventListener('click', () => running?.abort());
  const run = async () => {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    cancel.disabled = false;
    state.textContent = 'asked …';
    answer.replaceChildren();
    try {
      await ask(sql.value, mine, state, answer);
    } catch (error) {
      if (running !== mine) return;
      state.textContent = isAborted(error) ? 'cancelled' : '';
      if (!isAborted(error)) answer.prepend(problemBox(problemOf(error)));
    } finally {
      if (running === mine) {
        cancel.disabled = true;
        running = undefined;
      }
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void run();
  });
}
