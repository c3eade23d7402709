/**
 * Full locations in metadata and manifests, and the object keys they stand for. A location is resolved by its part below
 * the table, so that a bucket that was moved or copied still works.
 */
import { LakeError } from '../kernel/index.js';

/** The parts of a table's address: its key prefix in the store, and the location its metadata was created with. */
export interface TableAddress {
  /** Key prefix without a trailing slash, for example `topics/orders/<topic id>`. */
  readonly prefix: string;
  /** `location` of the metadata. */
  readonly location: string;
}

export function versionKey(prefix: string, version: number): string {
  return `${prefix}/metadata/v${version}.metadata.json`;
}

/** N of `…/v<N>.metadata.json`, or `null` for another name. */
export function versionOfKey(key: string): number | null {
  const digits = /\/v(\d{1,15})\.metadata\.json$/.exec(key)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The mark of a table that was dropped. Its name begins as those of the versions do, so that one list request shows both. */
export function vacatedKey(prefix: string): string {
  return `${prefix}/metadata/vacated.json`;
}

export function hintKey(prefix: string): string {
  return `${prefix}/metadata/version-hint.text`;
}

/** The location that metadata gives the object of a key below the table. */
export function locationOf(table: TableAddress, key: string): string {
  if (!key.startsWith(`${table.prefix}/`)) {
    throw new LakeError('internal', `${key} does not lie below the table ${table.prefix}`, { facts: { key, prefix: table.prefix } });
  }
  return `${table.location}${key.slice(table.prefix.length)}`;
}

/** The key of a location found in metadata or a manifest. Errors: `table-corrupt` where it lies outside the table. */
export function keyOf(table: TableAddress, location: string): string {
  const path = plain(location);
  const root = plain(table.location);
  if (path.startsWith(`${root}/`)) return `${table.prefix}${path.slice(root.length)}`;
  // The table's own folder has a unique name (the topic's id): what follows it is the same wherever the bucket went.
  const folder = `/${table.prefix.slice(table.prefix.lastIndexOf('/') + 1)}/`;
  const at = path.lastIndexOf(folder);
  if (at >= 0) return `${table.prefix}/${path.slice(at + folder.length)}`;
  throw new LakeError('table-corrupt', `${location} lies outside the table at ${table.location}`, {
    hint: 'Copy the file below the table, or rewrite the locations.',
    facts: { location, table: table.location },
  });
}

/** Whether two locations are one place, however they are written. */
export function isSameLocation(a: string, b: string): boolean {
  return plain(a).replace(/\/+$/, '') === plain(b).replace(/\/+$/, '');
}

/** `file:/x`, `file:///x` and `/x` are one place; so are `s3:`, `s3a:` and `s3n:`. */
function plain(location: string): string {
  return location.replace(/^file:\/*/, '/').replace(/^s3[an]:/, 's3:');
}
