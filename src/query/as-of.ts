/** What `as_of` names: the snapshot of an earlier answer, in it or behind a handle, or a time. */
import { LakeError } from '../kernel/index.js';
import { decodeToken, type SnapshotToken } from './token.js';
import { bodyTokenBytesMax, headerTokenBytesMax, isHandle, type TokenHandles } from './token-handles.js';

export type AsOf = { readonly kind: 'token'; readonly token: SnapshotToken } | { readonly kind: 'handle'; readonly handle: string };

/** Reads nothing. Errors: `token-invalid`, `unsupported` (a time). */
export function asOfText(text: string): AsOf {
  if (isHandle(text)) return { kind: 'handle', handle: text };
  if (/^\d{4}-\d{2}|^\d{10,}$/.test(text)) {
    throw new LakeError('unsupported', 'as_of a time is not supported yet', { hint: 'Pass the snapshot of an earlier answer.' });
  }
  return { kind: 'token', token: decodeToken(text) };
}

/** The token that is named. Errors: `token-invalid`, `token-gone`. */
export async function tokenNamed(asOf: AsOf, handles: TokenHandles | undefined): Promise<SnapshotToken> {
  if (asOf.kind === 'token') return asOf.token;
  if (handles !== undefined) return decodeToken(await handles.textOf(asOf.handle));
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
