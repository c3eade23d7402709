/** Options of the commands that talk to a running service, and the small HTTP client they share. */
import { LakeError, type ErrorCode, type ErrorFacts, errorCatalogue } from '../kernel/index.js';
import { ownHeader } from '../gateway/index.js';
import { type Command, Option } from 'commander';

export interface ClientFlags {
  readonly server: string;
  readonly bootstrap: string;
  readonly token?: string;
}

/** What this process shows the gateway: it talks to one. */
let shownToken: string | undefined;

/** From here on every call carries the token, where there is one. */
export function showToken(token: string | undefined): void {
  shownToken = token === '' ? undefined : token;
}

function authorization(): Record<string, string> {
  return shownToken === undefined ? {} : { authorization: `Bearer ${shownToken}` };
}

/** `--token`, else THERMOCLINE_TOKEN, which unlike an argument is in no list of processes. Neither is printed in a help text. */
export function addTokenOption(command: Command): Command {
  return command
    .addOption(new Option('--token <token>', 'what the gateway wants to be shown (http.token)').env('THERMOCLINE_TOKEN'))
    .hook('preAction', (_, called) => showToken(called.opts<{ token?: string }>().token));
}

export function addClientOptions(command: Command): Command {
  return addTokenOption(command)
    .option('--server <url>', 'the gateway', process.env['THERMOCLINE_SERVER'] ?? 'http://127.0.0.1:8080')
    .option('--bootstrap <host:port>', 'the broker', process.env['THERMOCLINE_BOOTSTRAP'] ?? '127.0.0.1:9092');
}

/** Calls the gateway. A problem document becomes the error it was; a silent server a hint to start one. */
export async function callGateway(
  server: string,
  path: string,
  init: { readonly method?: string; readonly body?: string; readonly headers?: Record<string, string>; readonly signal?: AbortSignal } = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(path, server), { ...init, headers: { [ownHeader]: '1', ...authorization(), ...init.headers } });
  } catch (error) {
    if (init.signal?.aborted === true) throw init.signal.reason;
    throw new LakeError('peer-gone', `no answer from ${server}`, {
      hint: 'Start the service with `thermocline serve`, or name its gateway with --server.',
      cause: error,
    });
  }
  if (response.ok) return response;
  throw errorOfProblem(await response.text(), response.status);
}

/** The error that a problem document stands for. */
export function errorOfProblem(text: string, status: number): LakeError {
  let problem: { code?: string; detail?: string; hint?: string; retriable?: boolean; facts?: ErrorFacts };
  try {
    problem = JSON.parse(text) as typeof problem;
  } catch {
    return new LakeError('peer-refused', `the gateway answered ${status}: ${text.slice(0, 200)}`);
  }
  const code: ErrorCode = problem.code !== undefined && problem.code in errorCatalogue ? (problem.code as ErrorCode) : 'peer-refused';
  return new LakeError(code, problem.detail ?? `the gateway answered ${status}`, {
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    ...(problem.facts === undefined ? {} : { facts: problem.facts }),
  });
}

export async function getJson<T>(server: string, path: string, init: Parameters<typeof callGateway>[2] = {}): Promise<T> {
  return (await (await callGateway(server, path, init)).json()) as T;
}
