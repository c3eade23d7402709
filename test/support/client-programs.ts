// Clients of other languages as programs: each is asked for one thing by a line of JSON and says what it saw in lines of JSON
// (`test/conformance/go`, `test/conformance/python`). What is to be seen, the tests say.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { goClients, kafkaPython, type OutsideTool } from './outside-tools.js';

export interface ClientProgram {
  readonly name: string;
  readonly tool: OutsideTool;
  readonly command: readonly [program: string, ...args: string[]];
}

/** The name is that of its folder, and so of the program that is built from it. */
const ofGo = (name: string): ClientProgram => ({ name, tool: goClients, command: [join(goClients.path ?? '', name)] });
export const goPrograms = { franzGo: ofGo('franz-go'), sarama: ofGo('sarama'), kafkaGo: ofGo('kafka-go') };

const pythonFolder = fileURLToPath(new URL('../conformance/python', import.meta.url));
/** -B: nothing is written beside the sources. */
const ofPython = (name: string, file: string): ClientProgram => ({
  name,
  tool: kafkaPython,
  command: [kafkaPython.path ?? '', '-B', join(pythonFolder, file)],
});
export const pythonPrograms = {
  kafkaPython: ofPython('kafka-python', 'kafka_python.py'),
  aiokafka: ofPython('aiokafka', 'aio.py'),
  confluentKafka: ofPython('confluent-kafka', 'confluent.py'),
};

/** A record as a program is asked to produce it. */
export interface WantedRecord {
  readonly partition: number;
  readonly timestampMs?: number;
  readonly key?: string | null;
  readonly value: string | null;
  readonly headers?: readonly (readonly [key: string, value: string])[];
}

/** A record as a program consumed it. */
export interface SeenRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [key: string, value: string])[];
}

interface ClientRequest {
  /** `create`, `produce`, `read`, `member`, `remove`, `committed`, `offsets` or `admin`. */
  readonly scenario: string;
  readonly bootstrap: string;
  readonly topic: string;
  readonly partitions?: number;
  readonly group?: string;
  /** Of a group: `classic`, `cooperative` or `consumer` (KIP-848). For sarama the version of Kafka that it is to speak to. */
  readonly protocol?: string;
  /** Of a static member. */
  readonly instance?: string;
  readonly codec?: string;
  readonly idempotent?: boolean;
  readonly records?: readonly WantedRecord[];
  /** How many records to read. */
  readonly count?: number;
  readonly times?: readonly number[];
  /** Of an administrator: how long to wait after each change. */
  readonly settleMs?: number;
}

/** The last line of a program, by its scenario. */
export interface ClientFacts {
  /** Of what was produced, or of what a group committed. */
  readonly offsets?: readonly number[];
  readonly records?: readonly SeenRecord[];
  readonly [step: string]: unknown;
}

const running = new Set<ChildProcess>();
const killAll = (): void => running.forEach((child) => void child.kill('SIGKILL'));
process.on('exit', killAll);
afterEach(killAll);

interface Conversation {
  readonly child: ChildProcess;
  readonly lines: ClientFacts[];
  /** The last line; rejects with what the program wrote to stderr where it failed. */
  readonly ended: Promise<ClientFacts>;
  /** Throws where the program has failed by now. */
  readonly check: () => void;
}

function start({ name, command }: ClientProgram, request: ClientRequest): Conversation {
  const [program, ...args] = command;
  const child = spawn(program, args, { stdio: 'pipe' });
  running.add(child);
  child.stdin.on('error', () => undefined);
  child.stdin.write(`${JSON.stringify({ partitions: 1, ...request })}\n`);
  const lines: ClientFacts[] = [];
  let rest = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    lines.push(...parts.map((line) => JSON.parse(line) as ClientFacts));
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors = (errors + chunk).slice(-10_000);
  });
  const ended = new Promise<ClientFacts>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      running.delete(child);
      if (code === 0 && lines.length > 0) resolve(lines.at(-1)!);
      else reject(new Error(`${name}, ${request.scenario}: ended with ${code ?? signal}\n${errors}`));
    });
  });
  let failure: unknown;
  ended.catch((error: unknown) => {
    failure = error;
  });
  const check = (): void => {
    if (failure !== undefined) throw failure;
  };
  return { child, lines, ended, check };
}

/** Runs one scenario to its end. */
export async function ask(client: ClientProgram, request: ClientRequest): Promise<ClientFacts> {
  const { child, ended } = start(client, request);
  child.stdin!.end();
  return await ended;
}

export interface GroupMember {
  /** The partitions it was told of last. */
  readonly assigned: () => readonly number[];
  /** How often it was told. */
  readonly assignments: () => number;
  readonly seen: () => readonly SeenRecord[];
  /** Asks it to leave, and gives what it said last. */
  readonly leave: () => Promise<ClientFacts>;
}

/** Starts a member of a group, which consumes and commits until it is told to leave. */
export function joinGroup(client: ClientProgram, request: Omit<ClientRequest, 'scenario'>): GroupMember {
  const { child, lines, ended, check } = start(client, { ...request, scenario: 'member' });
  const told = (): readonly (readonly number[])[] => {
    check();
    return lines.flatMap((line) => ('assigned' in line ? [line['assigned'] as number[]] : []));
  };
  return {
    assigned: () => told().at(-1) ?? [],
    assignments: () => told().length,
    seen: () => lines.flatMap((line) => line.records ?? []),
    leave: () => {
      child.stdin!.end();
      return ended;
    },
  };
}
