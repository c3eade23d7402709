/** Keys whose values are secrets: shown nowhere, and handed to a child process by its environment, never among its arguments. */
import { serverKeySpecs } from './server-keys.js';

export const environmentPrefix = 'THERMOCLINE_';
/** What stands in a list of keys where a secret is set. */
export const secretShown = '(secret)';

/** The variable that sets a server key. */
export function environmentName(key: string): string {
  return environmentPrefix + key.toUpperCase().replaceAll(/[.-]/g, '_');
}

const secretKeys: readonly string[] = [...serverKeySpecs].filter(([, spec]) => spec.isSecret === true).map(([name]) => name);

/** What is set, apart: `open` may stand in a list of processes, `variables` go into the child's environment. */
export function splitSecrets(settings: Readonly<Record<string, string>>): {
  readonly open: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
} {
  const open = Object.entries(settings).filter(([name]) => !secretKeys.includes(name));
  const secret = Object.entries(settings).filter(([name]) => secretKeys.includes(name));
  return { open: Object.fromEntries(open), variables: Object.fromEntries(secret.map(([name, value]) => [environmentName(name), value])) };
}

/** The variables of secrets, taken out of `environment`, so that no child process inherits what it does not need. */
export function takeSecrets(environment: Record<string, string | undefined>): Record<string, string> {
  const taken: Record<string, string> = {};
  for (const variable of secretKeys.map(environmentName)) {
    const value = environment[variable];
    if (value !== undefined) taken[variable] = value;
    delete environment[variable];
  }
  return taken;
}
