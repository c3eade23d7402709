/** What `as_of` names: the snapshot of an earlier answer, in it or behind a handle, or a time. */
import { LakeError, parseTimeText, type TimestampMs } from '../kernel/index.js';
import { decodeToken, type SnapshotToken } from './token.js';
import { bodyTokenBytesMax, headerTokenBytesMax, isHandle, type TokenHandles } from './token-handles.js';

export type AsOf = { readonly kind: 'token'; readonly token: SnapshotToken } | { readonly kind: 'time'; readonly atMs: TimestampMs };

export type AsOfText = AsOf | { readonly kind: 'handle'; readonly handle: string };

/** Reads nothing. Errors: `token-invalid`. */
export function asOfText(text: string): AsOfText {
  if (isHandle(text)) return { kind: 'handle', handle: text };
  const atMs = parseTimeText(text);
  return atMs === undefined ? { kind: 'token', token: decodeToken(text) } : { kind: 'time', atMs };
}

/** What is named, with the token where it was a handle. Errors: `token-invalid`, `token-gone`. */
export async function asOfNamed(asOf: AsOfText, handles: TokenHandles | undefined): Promise<AsOf> {
  if (asOf.kind !== 'handle') return asOf;
  if (handles !== undefined) return { kind: 'token', token: decodeToken(await handles.textOf(asOf.handle)) };
  throw new LakeError('token-gone', 'the snapshot token is a handle of a running service', {
    hint: 'Ask that service; answers in json and ndjson carry the token itself.',
  });
}

/** A token as an answer carries it. */
export interface TokenTexts {
  /** For its body. */
  readonly token: string;
  /** For a header, or for an address. */
  readonly headerToken: string;
}

/** Where there are no handles, both are the token itself. Errors: `disk-full`. */
export async function tokenTexts(text: string, handles: TokenHandles | undefined): Promise<TokenTexts> {
  if (handles === undefined || text.length <= headerTokenBytesMax) return { token: text, headerToken: text };
  const handle = await handles.handleOf(text);
  return { token: text.length <= bodyTokenBytesMax ? text : handle, headerToken: handle };
}
