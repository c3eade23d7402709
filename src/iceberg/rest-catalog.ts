/**
 * The documents of a read-only Iceberg REST catalog (Iceberg's `rest-catalog-open-api.yaml`): what a reader is told of namespaces
 * and tables, and how a refusal looks. No I/O: `gateway/` has the routes.
 */
import { LakeError } from '../kernel/index.js';
import { heldSnapshots } from './expire-snapshots.js';
import { serializeTableMetadata, parseTableMetadata } from './table-metadata.js';

/** The one namespace. */
export const catalogNamespace = 'thermocline';

/** What is served, as `GET /v1/config` lists it. Clients that read the list ask for nothing else: no views, no plans, no writes. */
const endpoints = [
  'GET /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials',
  'POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics',
  'GET /v1/{prefix}/namespaces/{namespace}/views',
] as const;

/** How a reader reaches the objects; nothing for a directory. */
export interface StorageAccess {
  /** Of an S3 server other than Amazon's. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly isPathStyle?: boolean | undefined;
}

/**
 * `ConfigResponse`. The way to the bucket stands among the defaults, which a client's own settings override: a reader on another
 * machine may need another endpoint. It is not repeated as the `config` of each table, because that cannot be overridden,
 * and DuckDB makes a secret without a key of it that hides the user's own.
 */
export function configDocument(access: StorageAccess | null): Record<string, unknown> {
  return { defaults: access === null ? {} : accessProperties(access), overrides: {}, endpoints };
}

/** Under the names that Java (`client.region`, `s3.path-style-access`) and pyiceberg (`s3.region`, `s3.force-virtual-addressing`) read. */
function accessProperties({ endpoint, region, isPathStyle }: StorageAccess): Record<string, string> {
  return {
    ...(endpoint === undefined ? {} : { 's3.endpoint': endpoint }),
    ...(region === undefined ? {} : { 'client.region': region, 's3.region': region }),
    ...(isPathStyle === undefined
      ? {}
      : { 's3.path-style-access': String(isPathStyle), 's3.force-virtual-addressing': String(!isPathStyle) }),
  };
}

/** `ListNamespacesResponse`; `parent` as its levels, none for the top. */
export function namespacesDocument(parent: readonly string[]): Record<string, unknown> {
  return { namespaces: parent.length === 0 ? [[catalogNamespace]] : [] };
}

/** `GetNamespaceResponse`. */
export function namespaceDocument(): Record<string, unknown> {
  return { namespace: [catalogNamespace], properties: { comment: 'One table a topic; read only.' } };
}

export interface Page {
  /** `pageToken` of the request: undefined asks for everything, an empty one for the first page. */
  readonly token?: string | undefined;
  readonly size?: number | undefined;
}

/** Tables of a page where the client names no size; about 30 KiB. */
const pageSizeDefault = 1000;

/**
 * `ListTablesResponse`, by name. A token holds the last name of its page, so that tables that come and go between two pages shift
 * nothing. Errors: `request-invalid` for a token of another make or a size below one.
 */
export function tablesDocument(names: readonly string[], page: Page = {}): Record<string, unknown> {
  if (page.size !== undefined && !(Number.isSafeInteger(page.size) && page.size > 0)) {
    throw new LakeError('request-invalid', 'pageSize is not a whole number above zero', {
      hint: 'Leave pageSize out, or ask for 1 or more.',
    });
  }
  const sorted = [...names].sort();
  if (page.token === undefined) return { identifiers: sorted.map(identifier) };
  const after = page.token === '' ? '' : nameOfToken(page.token);
  const rest = sorted.filter((name) => name > after);
  const shown = rest.slice(0, page.size ?? pageSizeDefault);
  const last = shown.at(-1);
  return {
    'identifiers': shown.map(identifier),
    'next-page-token': last === undefined || shown.length === rest.length ? null : tokenOfName(last),
  };
}

function identifier(name: string): Record<string, unknown> {
  return { namespace: [catalogNamespace], name };
}

const tokenMark = 'after:';

function tokenOfName(name: string): string {
  return Buffer.from(`${tokenMark}${name}`).toString('base64url');
}

function nameOfToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString();
  if (text.startsWith(tokenMark)) return text.slice(tokenMark.length);
  throw new LakeError('request-invalid', 'the page token is not one of this catalog', {
    hint: 'Begin again with an empty pageToken, or leave it out.',
  });
}

/**
 * `LoadTableResult` in parts, so that metadata of any size goes out as the bytes that came out of the bucket. `metadataLocation` is
 * left out for a table that was not written yet.
 */
export function loadTableParts(metadata: Uint8Array, metadataLocation?: string): readonly Uint8Array[] {
  const before = metadataLocation === undefined ? '' : `"metadata-location":${JSON.stringify(metadataLocation)},`;
  return [Buffer.from(`{${before}"metadata":`), metadata, Buffer.from(',"config":{}}')];
}

/** The metadata with those snapshots only that a branch or tag points to (`snapshots=refs`). Errors: as `parseTableMetadata`. */
export function referencedOnly(bytes: Uint8Array): Buffer {
  const metadata = parseTableMetadata(bytes);
  const held = heldSnapshots(metadata);
  return serializeTableMetadata({ ...metadata, snapshots: metadata.snapshots.filter((snapshot) => held.has(snapshot.snapshotId)) });
}

/** `IcebergErrorResponse`: `type` is the name of the exception that Java's client throws for it. */
export interface CatalogError {
  readonly type: string;
  readonly code: number;
  readonly message: string;
}

export function errorDocument(error: CatalogError): Record<string, unknown> {
  return { error: { message: error.message, type: error.type, code: error.code } };
}
