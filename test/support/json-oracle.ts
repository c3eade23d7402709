/**
 * What typed columns a value contributes, found a second way: a small recursive JSON reader over text that keeps the text of
 * numbers. It shares nothing with the scanner or the SQL. Slow and plain on purpose.
 */
import type { ColumnKind } from '../../src/columns/index.js';

export interface OracleField {
  readonly kind: ColumnKind;
  readonly value: bigint | number | boolean | string;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Refused extends Error {}

/** The fields of a value by name; empty where it is no JSON object. Names above 255 bytes are left out. */
export function oracleFields(value: Uint8Array | null): Map<string, OracleField> {
  const fields = new Map<string, OracleField>();
  if (value === null) return fields;
  try {
    const reader = new Reader(decoder.decode(value));
    for (const [name, field] of reader.document()) {
      if (field !== undefined && Buffer.byteLength(name) <= 255) fields.set(name, field);
    }
  } catch (error) {
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
  }
  return fields;
}

type Value =
  | { readonly type: 'string'; readonly value: string; readonly json: string }
  | { readonly type: 'number'; readonly text: string; readonly json: string }
  | { readonly type: 'nested' | 'bool' | 'nothing'; readonly json: string };

class Reader {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Map<string, OracleField | undefined> {
    this.#space();
    if (this.#text[this.#at] !== '{') throw new Refused();
    const fields = new Map<string, OracleField | undefined>();
    this.#members((name, value) => {
      if (!fields.has(name)) fields.set(name, fieldOf(value));
    });
    this.#space();
    if (this.#at !== this.#text.length) throw new Refused();
    return fields;
  }

  #space(): void {
    while (this.#at < this.#text.length && ' \n\r\t'.includes(this.#text[this.#at] as string)) this.#at++;
  }

  #match(pattern: RegExp): string | undefined {
    const sticky = new RegExp(pattern.source, `${pattern.flags}y`);
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #members(onMember: (name: string, value: Value) => void): void {
    this.#at++;
    for (;;) {
      this.#space();
      if (this.#match(/\}/) !== undefined) return;
      const name = this.#string();
      this.#space();
      if (this.#match(/:/) === undefined) throw new Refused();
      this.#space();
      onMember(name, this.#value());
      this.#space();
      if (this.#match(/,/) === undefined) {
        if (this.#match(/\}/) === undefined) throw new Refused();
        return;
      }
    }
  }

  #string(): string {
    const token = this.#match(/"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/u);
    if (token === undefined || Array.from(token).some((character) => character < ' ')) throw new Refused();
    const text = JSON.parse(token) as string;
    if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)) throw new Refused();
    return text;
  }

  #value(): Value {
    const c = this.#text[this.#at];
    if (c === '"') {
      const value = this.#string();
      return { type: 'string', value, json: quote(value) };
    }
    if (c === '{') {
      const parts: string[] = [];
      this.#members((name, value) => parts.push(`${quote(name)}:${value.json}`));
      return { type: 'nested', json: `{${parts.join(',')}}` };
    }
    if (c === '[') return { type: 'nested', json: this.#array() };
    const word = this.#match(/true|false|null/);
    if (word !== undefined) return { type: word === 'null' ? 'nothing' : 'bool', json: word };
    const notFinite = this.#match(/-?(?:nan|infinity|inf)/i);
    if (notFinite !== undefined) return { type: 'nothing', json: notFinite };
    const text = this.#match(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/);
    if (text === undefined) throw new Refused();
    return { type: 'number', text, json: numberText(text) };
  }

  #array(): string {
    this.#at++;
    const parts: string[] = [];
    for (;;) {
      this.#space();
      if (this.#match(/\]/) !== undefined) return `[${parts.join(',')}]`;
      parts.push(this.#value().json);
      this.#space();
      if (this.#match(/,/) === undefined) {
        if (this.#match(/\]/) === undefined) throw new Refused();
        return `[${parts.join(',')}]`;
      }
    }
  }
}

function fieldOf(value: Value): OracleField | undefined {
  switch (value.type) {
    case 'string':
      return { kind: 'text', value: value.value };
    case 'nested':
      return { kind: 'text', value: value.json };
    case 'bool':
      return { kind: 'bool', value: value.json === 'true' };
    case 'nothing':
      return undefined;
    case 'number': {
      if (/^-?[0-9]+$/.test(value.text)) {
        const long = BigInt(value.text);
        return BigInt.asIntN(64, long) === long ? { kind: 'long', value: long } : { kind: 'text', value: value.text };
      }
      // Zero has no sign.
      const double = Number(value.text) + 0;
      return Number.isFinite(double) ? { kind: 'double', value: double } : { kind: 'text', value: value.text };
    }
  }
}

/** A number as DuckDB writes it back: integers by their digits, others as the shortest text of the double. */
function numberText(text: string): string {
  if (/^-?[0-9]+$/.test(text)) return text === '-0' ? '0' : text;
  const double = Number(text);
  if (!Number.isFinite(double)) return text;
  const shortest = Object.is(double, -0) ? '-0' : String(double).replace('e+', 'e');
  return /[.e]/.test(shortest) ? shortest : `${shortest}.0`;
}

function quote(text: string): string {
  return JSON.stringify(text).replaceAll(/\\u[0-9a-f]{4}/g, (escape) => `\\u${escape.slice(2).toUpperCase()}`);
}
