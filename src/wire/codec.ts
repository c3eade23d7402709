/**
 * Turns a message of the notation, at one version, into a reader and a writer: straight-line code, generated once when first used,
 * so that no notation is walked per message and every object comes from one literal, with one shape at all versions. A fetch
 * response of six partitions takes about a microsecond either way.
 */
import { invariant } from '../kernel/index.js';
import type { MessageReader } from './message-reader.js';
import type { MessageWriter } from './message-writer.js';
import type { Api, Field, FieldType, Fields, Message } from './notation.js';
import { defaultOf, isInVersions, isNullable } from './notation.js';

export interface Codec {
  readonly name: string;
  readonly read: (reader: MessageReader) => unknown;
  readonly write: (writer: MessageWriter, value: unknown) => void;
}

const compiled = new WeakMap<Message, Codec[]>();

/** The codec of one direction of an API at a version it serves. */
export function codecOf(api: Api, message: Message, version: number): Codec {
  let versions = compiled.get(message);
  if (versions === undefined) {
    versions = [];
    compiled.set(message, versions);
  }
  return (versions[version] ??= compile(message, version, version >= api.flexibleFrom));
}

function compile(message: Message, version: number, isFlexible: boolean): Codec {
  const name = `${message.name} v${version}`;
  const reading = new ReadingCode(version, isFlexible);
  const read = reading.struct(message.fields, 'message');
  const writing = new WritingCode(version, isFlexible, message.direction === 'request');
  const write = writing.struct(message.fields, 'message');
  return {
    name,
    read: evaluate(`${name} read`, reading, read) as Codec['read'],
    write: evaluate(`${name} write`, writing, write) as Codec['write'],
  };
}

/** The only inputs to this are the definitions in `apis/`; names are checked to be identifiers before they get into the source. */
function evaluate(name: string, code: GeneratedCode, entry: string): unknown {
  const source = `'use strict';\n${code.functions.join('\n')}\nreturn ${entry};\n//# sourceURL=wire/${name.replaceAll(' ', '-')}.js`;
  // oxlint-disable-next-line typescript/no-implied-eval -- code is generated from our own definitions, never from input
  return new Function('emptyBytes', source)(emptyBytes);
}

const emptyBytes = Buffer.alloc(0);

/** Functions of generated source, one a struct. */
class GeneratedCode {
  readonly functions: string[] = [];
  protected readonly version: number;
  protected readonly isFlexible: boolean;

  constructor(version: number, isFlexible: boolean) {
    this.version = version;
    this.isFlexible = isFlexible;
  }

  protected isOnWire(field: Field): boolean {
    return isInVersions(field.options.versions, this.version);
  }

  /** Fields of the body in order, and tagged ones by tag. */
  protected split(fields: Fields): {
    readonly body: [string, Field][];
    readonly tagged: [string, Field][];
    readonly absent: [string, Field][];
  } {
    const all = Object.entries(fields);
    for (const [name] of all) invariant(/^[a-z][a-zA-Z0-9]*$/.test(name), 'a field name is an identifier', { name });
    const present = all.filter(([, field]) => this.isOnWire(field));
    return {
      body: present.filter(([, field]) => field.options.tag === undefined),
      tagged: present
        .filter(([, field]) => field.options.tag !== undefined)
        .toSorted(([, a], [, b]) => (a.options.tag ?? 0) - (b.options.tag ?? 0)),
      absent: all.filter(([, field]) => !this.isOnWire(field)),
    };
  }

  /** The compact form of a method's name in flexible versions. */
  protected method(name: string): string {
    return this.isFlexible ? `compact${name[0]?.toUpperCase()}${name.slice(1)}` : name;
  }
}

/** An expression for a field's default; a fresh object or array each time it is evaluated. */
function defaultExpression(field: Field): string {
  if (field.type.kind === 'struct' && field.options.default !== null) {
    return `{ ${Object.entries(field.type.fields)
      .map(([name, member]) => `${name}: ${defaultExpression(member)}`)
      .join(', ')} }`;
  }
  const value = defaultOf(field);
  if (typeof value === 'bigint') return `${value}n`;
  if (Buffer.isBuffer(value)) return 'emptyBytes';
  return JSON.stringify(value);
}

class ReadingCode extends GeneratedCode {
  /** Adds a function `(r) => object` for a struct and returns its name. Objects have all fields in the same order at every version. */
  struct(fields: Fields, path: string): string {
    const { body, tagged, absent } = this.split(fields);
    const lines: string[] = [];
    for (const [name, field] of body) lines.push(this.field(name, field, `${path}_${name}`, `const $${name} = `));
    for (const [name, field] of absent) lines.push(`const $${name} = ${defaultExpression(field)};`);
    for (const [name, field] of tagged) lines.push(`let $${name} = ${defaultExpression(field)};`);
    if (this.isFlexible) lines.push(this.tags(tagged, path));
    const members = Object.keys(fields).map((name) => `${name}: $${name}`);
    const called = `read_${path}`;
    this.functions.push(`function ${called}(r) {\n${lines.join('\n')}\nreturn { ${members.join(', ')} };\n}`);
    return called;
  }

  private tags(tagged: readonly [string, Field][], path: string): string {
    if (tagged.length === 0) return 'r.skipTags();';
    const cases = tagged.map(
      ([name, field]) => `case ${field.options.tag}: { ${this.field(name, field, `${path}_${name}`, `$${name} = `)} break; }`,
    );
    return `for (let left = r.uvarint(); left > 0; left--) {
const tag = r.uvarint();
const end = r.tagEnd();
switch (tag) { ${cases.join('\n')} }
r.leaveTag(end);
}`;
  }

  private field(name: string, field: Field, path: string, assign: string): string {
    const isNull = isNullable(field, this.version);
    if (field.type.kind !== 'array') return `${assign}${this.value(field.type, name, path, isNull)};`;
    const count = `r.${this.method('count')}(${this.bytesMin(field.type.element)})`;
    const element = this.value(field.type.element, name, path, false);
    return `let items_${name} = null;
{ const n = ${count};
if (n >= 0) { items_${name} = []; for (let i = 0; i < n; i++) items_${name}.push(${element}); }${isNull ? '' : ` else r.present(null, '${name}');`} }
${assign}items_${name};`;
  }

  private value(type: FieldType, name: string, path: string, isNull: boolean): string {
    invariant(type.kind !== 'array', 'there are no arrays of arrays', { name });
    if (type.kind === 'struct') {
      const read = `${this.struct(type.fields, path)}(r)`;
      return isNull ? `(r.isPresent() ? ${read} : null)` : read;
    }
    switch (type.scalar) {
      case 'string':
      case 'bytes':
      case 'records': {
        const read = `r.${this.method(type.scalar === 'string' ? 'string' : 'bytes')}()`;
        return isNull ? read : `r.present(${read}, '${name}')`;
      }
      default:
        return `r.${type.scalar}()`;
    }
  }

  /** The least bytes one array element takes, so that a count can be refused before anything is made for it. */
  private bytesMin(type: FieldType): number {
    if (type.kind === 'array') return this.isFlexible ? 1 : 4;
    if (type.kind === 'struct') {
      const { body } = this.split(type.fields);
      const least = (field: Field): number =>
        field.type.kind === 'struct' && isNullable(field, this.version) ? 1 : this.bytesMin(field.type);
      return body.reduce((sum, [, field]) => sum + least(field), this.isFlexible ? 1 : 0);
    }
    switch (type.scalar) {
      case 'bool':
      case 'int8':
        return 1;
      case 'int16':
      case 'uint16':
        return 2;
      case 'int32':
        return 4;
      case 'int64':
      case 'float64':
      case 'producerId':
        return 8;
      case 'uuid':
        return 16;
      case 'string':
        return this.isFlexible ? 1 : 2;
      default:
        return this.isFlexible ? 1 : 4;
    }
  }
}

class WritingCode extends GeneratedCode {
  private readonly isRequest: boolean;
  private readonly written = new Map<Fields, string>();

  constructor(version: number, isFlexible: boolean, isRequest: boolean) {
    super(version, isFlexible);
    this.isRequest = isRequest;
  }

  /** Adds a function `(w, v) => void` for a struct and returns its name. */
  struct(fields: Fields, path: string): string {
    const { body, tagged, absent } = this.split(fields);
    const lines: string[] = [];
    if (this.isRequest) {
      for (const [name, field] of absent) {
        if (field.options.ignorable !== true)
          lines.push(`if (!(${this.isDefault(`v.${name}`, field, `${path}_${name}`)})) w.failAbsent('${name}');`);
      }
    }
    for (const [name, field] of body) {
      lines.push(`let $${name} = v.${name}; if ($${name} === undefined) $${name} = ${defaultExpression(field)};`);
      lines.push(this.field(`$${name}`, name, field, `${path}_${name}`));
    }
    if (this.isFlexible) lines.push(this.tags(tagged, path));
    const called = `write_${path}`;
    this.functions.push(`function ${called}(w, v) {\n${lines.join('\n')}\n}`);
    return called;
  }

  private tags(tagged: readonly [string, Field][], path: string): string {
    if (tagged.length === 0) return 'w.uvarint(0);';
    const flags = tagged.map(([name, field]) => `const has_${name} = !(${this.isDefault(`v.${name}`, field, `${path}_${name}`)});`);
    const count = tagged.map(([name]) => `(has_${name} ? 1 : 0)`).join(' + ');
    const writes = tagged.map(
      ([name, field]) => `if (has_${name}) {
const $${name} = v.${name};
const mark = w.openTag(${field.options.tag});
${this.field(`$${name}`, name, field, `${path}_${name}`)}
w.closeTag(mark);
}`,
    );
    return [...flags, `w.uvarint(${count});`, ...writes].join('\n');
  }

  private field(local: string, name: string, field: Field, path: string): string {
    const isNull = isNullable(field, this.version);
    if (field.type.kind !== 'array') return this.value(local, field.type, name, path, isNull);
    const count = this.method('count');
    const element = this.value(`${local}[i]`, field.type.element, name, path, false);
    const whenNull = isNull ? `w.${count}(-1);` : `w.present(null, '${name}');`;
    return `if (${local} === null) { ${whenNull} } else { w.${count}(${local}.length); for (let i = 0; i < ${local}.length; i++) { ${element} } }`;
  }

  private value(local: string, type: FieldType, name: string, path: string, isNull: boolean): string {
    invariant(type.kind !== 'array', 'there are no arrays of arrays', { name });
    if (type.kind === 'struct') {
      const write = `${this.struct(type.fields, path)}(w, ${local});`;
      return isNull ? `w.isPresent(${local} !== null); if (${local} !== null) { ${write} }` : write;
    }
    const value = isNull ? local : `w.present(${local}, '${name}')`;
    switch (type.scalar) {
      case 'string':
        return `w.${this.method('string')}(${value}, '${name}');`;
      case 'bytes':
      case 'records':
        return `w.${this.method(type.scalar)}(${value});`;
      case 'bool':
        return `w.bool(${local});`;
      default:
        return `w.${type.scalar}(${local}, '${name}');`;
    }
  }

  /** An expression that is true where a value is missing or its field's default. */
  private isDefault(value: string, field: Field, path: string): string {
    if (field.options.default === null) return `${value} === undefined || ${value} === null`;
    if (field.type.kind === 'struct') return `${value} === undefined || ${this.structIsDefault(field.type.fields, path)}(${value})`;
    const byDefault = defaultOf(field);
    if (Array.isArray(byDefault) || Buffer.isBuffer(byDefault)) {
      return `${value} === undefined || (${value} !== null && ${value}.length === 0)`;
    }
    return `${value} === undefined || ${value} === ${defaultExpression(field)}`;
  }

  private structIsDefault(fields: Fields, path: string): string {
    const known = this.written.get(fields);
    if (known !== undefined) return known;
    const called = `default_${path}`;
    const members = Object.entries(fields).map(([name, field]) => `(${this.isDefault(`v.${name}`, field, `${path}_${name}`)})`);
    this.functions.push(`function ${called}(v) { return ${members.join(' && ')}; }`);
    this.written.set(fields, called);
    return called;
  }
}
