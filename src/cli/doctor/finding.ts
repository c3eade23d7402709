/** What the doctor says: one line a check, with what to do where it is not well. */
import { errorToPlain } from '../../kernel/index.js';

/** `warn`: it works, and somebody should look. `fail`: something does not work, or will not. */
export type CheckState = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly check: string;
  readonly state: CheckState;
  readonly detail: string;
  /** What to do, in the imperative; where it is not well. */
  readonly hint?: string;
}

export const ok = (check: string, detail: string): Finding => ({ check, state: 'ok', detail });
export const warn = (check: string, detail: string, hint: string): Finding => ({ check, state: 'warn', detail, hint });
export const fail = (check: string, detail: string, hint: string): Finding => ({ check, state: 'fail', detail, hint });

/** An error as a finding: its own hint says what to do. */
export function failed(check: string, error: unknown): Finding {
  const { code, message, hint } = errorToPlain(error);
  return fail(check, `${code}: ${message}`, hint ?? 'Look at the log of the service.');
}

/** Runs a check; an error that it throws is what it found. */
export async function checked(check: string, work: () => Promise<Finding | readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    const found = await work();
    return 'check' in found ? [found] : found;
  } catch (error) {
    return [failed(check, error)];
  }
}
