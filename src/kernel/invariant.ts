/** Programmer errors: a broken invariant ends the process, and the supervisor starts it again. */
export class InvariantError extends Error {
  readonly facts: Readonly<Record<string, unknown>>;
  constructor(message: string, facts: Readonly<Record<string, unknown>>) {
    super(`invariant: ${message}${Object.keys(facts).length === 0 ? '' : ` ${formatFacts(facts)}`}`);
    this.name = 'InvariantError';
    this.facts = facts;
  }
}

function formatFacts(facts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(facts, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
}

/** Asserts what must hold whatever the input is. Never use it for input. */
export function invariant(condition: boolean, message: string, facts: Readonly<Record<string, unknown>> = {}): asserts condition {
  if (!condition) throw new InvariantError(message, facts);
}
