/**
 * The notation in which the messages of the Kafka protocol are written down: one object a message, all versions in it. Types are
 * inferred from it, the codec is compiled from it, and a test compares it with Apache Kafka's own schemas.
 *
 * A field says where it is on the wire (`versions`), where it may be null (`nullable`), what it is where it is absent (`default`),
 * whether it travels in the tag section (`tag`), and whether a request may lose it at versions that lack it (`ignorable`).
 */
import type { TopicId } from '../kernel/index.js';
import { invariant, zeroTopicId } from '../kernel/index.js';

/** `'7+'`, `'0-12'` or `'4'`. */
export type VersionRange = `${number}+` | `${number}-${number}` | `${number}`;

export interface FieldOptions<T> {
  /** Left out: wherever the struct around it is. */
  readonly versions?: VersionRange;
  /** `true`: wherever the field is. */
  readonly nullable?: VersionRange | true;
  /** The value where the field is absent; left out: 0, false, '', no bytes, [], the zero id; null for records. */
  readonly default?: T | null;
  /** The field is in the tag section, and only when it differs from its default (KIP-482). */
  readonly tag?: number;
  /** A request that carries a value at a version without the field drops it silently instead of being refused. */
  readonly ignorable?: true;
}

export type ScalarType =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'int64'
  | 'float64'
  | 'producerId'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records';

export type FieldType =
  | { readonly kind: 'scalar'; readonly scalar: ScalarType }
  | { readonly kind: 'struct'; readonly fields: Fields }
  | { readonly kind: 'array'; readonly element: FieldType };

declare const carried: unique symbol;
declare const inputForm: unique symbol;

/** A field of a struct. The type parameters are what decode gives, what encode takes, and whether encode may go without. */
export interface Field<Value = unknown, Input = unknown, Omittable extends boolean = boolean> {
  readonly type: FieldType;
  readonly options: FieldOptions<unknown>;
  readonly [carried]?: { readonly value: Value; readonly input: Input; readonly omittable: Omittable };
}

export type Fields = Readonly<Record<string, Field>>;

type Carried<F extends Field> = NonNullable<F[typeof carried]>;
type IsOmittable<O> = O extends
  | { readonly default: unknown }
  | { readonly tag: number }
  | { readonly ignorable: true }
  | { readonly versions: string }
  ? true
  : false;
type OrNull<T, O> = O extends { readonly nullable: unknown } ? T | null : T;

type Flat<T> = { readonly [K in keyof T]: T[K] };
type StructInput<F extends Fields> = Flat<
  { readonly [K in keyof F as Carried<F[K]>['omittable'] extends true ? never : K]: Carried<F[K]>['input'] } & {
    readonly [K in keyof F as Carried<F[K]>['omittable'] extends true ? K : never]?: Carried<F[K]>['input'];
  }
>;
type StructValue<F extends Fields> = { readonly [K in keyof F]: Carried<F[K]>['value'] } & { readonly [inputForm]?: StructInput<F> };

/** What one direction of an API says, at all its versions. */
export interface Message<T = unknown> {
  /** Kafka's name, such as `FetchRequest`. */
  readonly name: string;
  readonly direction: 'request' | 'response';
  readonly fields: Fields;
  readonly [carried]?: T;
}

/** What decoding a message gives: every field, at every version; absent ones hold their defaults. */
export type MessageType<M extends Message> = NonNullable<M[typeof carried]>;

/**
 * What encoding takes for a decoded type (a message or a struct in it): fields with a default, of some versions only, tagged or
 * ignorable may be left out; records may come as several chunks.
 */
export type MessageInput<T> = typeof inputForm extends keyof T ? NonNullable<T[typeof inputForm]> : T;

/** One API key: both directions, the versions served, and where the flexible encoding (KIP-482) begins. */
export interface Api<Req = unknown, Res = unknown> {
  readonly key: number;
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** The minimum ApiVersions announces: below `minVersion` only for Produce, without which old librdkafka does not compress (KAFKA-18659). */
  readonly advertisedMinVersion: number;
  readonly flexibleFrom: number;
  readonly request: Message<Req>;
  readonly response: Message<Res>;
}

/** What a field without options has: the options of such a field say nothing. */
type NoOptions = { readonly versions?: undefined };

type Scalar<T, In = T> = <const O extends FieldOptions<T> = NoOptions>(options?: O) => Field<OrNull<T, O>, OrNull<In, O>, IsOmittable<O>>;

function scalar<T, In = T>(name: ScalarType): Scalar<T, In> {
  return (options) => ({ type: { kind: 'scalar', scalar: name }, options: options ?? {} });
}

export const bool = scalar<boolean>('bool');
export const int8 = scalar<number>('int8');
export const int16 = scalar<number>('int16');
export const uint16 = scalar<number>('uint16');
export const int32 = scalar<number>('int32');
/** An offset, an epoch or a time in ms as a number; values beyond ±(2^53−1) are refused, but in requests that are read. */
export const int64 = scalar<number>('int64');
export const float64 = scalar<number>('float64');
/** An int64 that spans all 64 bits. */
export const producerId = scalar<bigint>('producerId');
export const uuid = scalar<TopicId>('uuid');
export const string = scalar<string>('string');
/** Decoded as a view into the frame, not a copy. */
export const bytes = scalar<Buffer>('bytes');
/** Record batches: decoded as a view into the frame; encoded from one buffer or several, which stay chunks of their own. */
export const records = scalar<Buffer, Buffer | readonly Buffer[]>('records');

/** A struct as a field by itself; its only default of its own is null, where it may be that. Not both tagged and nullable: no message here is. */
export function struct<F extends Fields, const O extends FieldOptions<never> = NoOptions>(
  fields: F,
  options?: O,
): Field<OrNull<StructValue<F>, O>, OrNull<StructInput<F>, O>, IsOmittable<O>> {
  invariant(options?.tag === undefined || options.nullable === undefined, 'a tagged struct is never null');
  return { type: { kind: 'struct', fields }, options: options ?? {} };
}

/** An array; its elements are never null and take no options of their own. */
export function array<V, I, const O extends FieldOptions<null> = NoOptions>(
  element: Field<V, I, false>,
  options?: O,
): Field<OrNull<readonly V[], O>, OrNull<readonly I[], O>, IsOmittable<O>> {
  return { type: { kind: 'array', element: element.type }, options: options ?? {} };
}

export function request<F extends Fields>(apiName: string, fields: F): Message<StructValue<F>> {
  return { name: `${apiName}Request`, direction: 'request', fields };
}

export function response<F extends Fields>(apiName: string, fields: F): Message<StructValue<F>> {
  return { name: `${apiName}Response`, direction: 'response', fields };
}

export function api<Req, Res>(
  definition: Omit<Api<Req, Res>, 'advertisedMinVersion'> & { readonly advertisedMinVersion?: number },
): Api<Req, Res> {
  invariant(definition.minVersion <= definition.maxVersion, 'an API serves at least one version', { key: definition.key });
  return { ...definition, advertisedMinVersion: definition.advertisedMinVersion ?? definition.minVersion };
}

/** Whether a version lies in a range; every version lies in an absent one. */
export function isInVersions(range: VersionRange | true | undefined, version: number): boolean {
  if (range === undefined || range === true) return true;
  if (range.endsWith('+')) return version >= Number(range.slice(0, -1));
  const [first, last = first] = range.split('-').map(Number);
  return first !== undefined && last !== undefined && version >= first && version <= last;
}

/** Whether a field may be null at a version. */
export function isNullable(field: Field, version: number): boolean {
  return field.options.nullable !== undefined && isInVersions(field.options.nullable, version);
}

/** The value of a scalar or array field where it is absent, and of a struct that is null then. Other structs have none of their own: each member has. */
export function defaultOf(field: Field): unknown {
  if (field.options.default !== undefined) return field.options.default;
  if (field.type.kind === 'array') return [];
  invariant(field.type.kind === 'scalar', 'a struct has no default of its own');
  switch (field.type.scalar) {
    case 'bool':
      return false;
    case 'producerId':
      return 0n;
    case 'uuid':
      return zeroTopicId;
    case 'string':
      return '';
    case 'bytes':
      return Buffer.alloc(0);
    case 'records':
      return null;
    default:
      return 0;
  }
}
