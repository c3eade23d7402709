/**
 * A query engine: the child process that DuckDB runs in. Working directory is the folder of leases; as root it first becomes
 * a user who may not write the files that are linked there. It ends with its parent.
 */
import { giveWay, isLakeError, LakeError, MiB, type PlainError, errorToPlain } from '../kernel/index.js';
import { sendAnswer } from './engine-answer.js';
import { queryError } from './engine-errors.js';
import { EngineInstance } from './engine-instance.js';
import { engineProgressMs } from './progress.js';
import type { EngineArguments, FromEngine, OpenInstance, RunQuery, ToEngine } from './engine-protocol.js';

const args = JSON.parse(process.argv[2] ?? '{}') as EngineArguments;
// Before there are threads, which take it from the one that starts them.
giveWay(args.niceness);
process.chdir(args.directory);
if (args.dropTo !== undefined) {
  process.setgroups?.([]);
  process.setgid?.(args.dropTo.gid);
  process.setuid?.(args.dropTo.uid);
}

/** What a process takes beside what DuckDB counts: the program, instances opened ahead, texts being made. */
const uncountedBytesMax = 512 * MiB;
/** How often a running query's process looks at itself: a function can make a text of gigabytes that DuckDB does not count. */
const memoryLookMs = 100;

/** Opened ahead of the queries, by slot. */
const ready = new Map<number, EngineInstance>();
let memoryBytes = Number.POSITIVE_INFINITY;
let memoryWatch: NodeJS.Timeout | undefined;
/** Of the query under way. */
let instance: EngineInstance | undefined;
/** How many messages of rows may be sent, and whether anybody still wants them. */
const flow = { credits: 0, isInterrupted: false };
let onCredit: (() => void) | undefined;
let queue: Promise<void> = Promise.resolve();

function send(message: FromEngine): void {
  if (process.connected) process.send?.(message);
}

function plain(error: unknown): PlainError {
  if (isLakeError(error)) return errorToPlain(error);
  const text = error instanceof Error ? error.message : String(error);
  // A place in a text that nobody has seen.
  return errorToPlain(queryError(instance?.runsRewritten === true ? text.replace('"position":', '"rewritten_position":') : text, error));
}

function opened(): EngineInstance {
  if (instance === undefined) throw new LakeError('internal', 'the engine was asked before an instance was open');
  return instance;
}

/** Resolves when one message of rows may be sent. */
async function takeCredit(): Promise<void> {
  while (flow.credits === 0 && !flow.isInterrupted) {
    await new Promise<void>((resolve) => {
      onCredit = resolve;
    });
  }
  if (flow.isInterrupted) throw new LakeError('cancelled', 'the query was interrupted');
  flow.credits--;
}

/** Says so and ends when the process takes much more than its query may: the machine is not to run out of memory for it. */
function watchMemory(): void {
  const mayHave = memoryBytes + uncountedBytesMax;
  const resident = process.memoryUsage.rss();
  if (instance === undefined || resident <= mayHave) return;
  const error = new LakeError('query-too-large', `the query's process takes ${resident} bytes; ${mayHave} are allowed`, {
    hint: 'Make shorter texts and lists, or raise query.memory.bytes.',
    facts: { resident, mayHave },
  });
  process.send?.({ type: 'failed', error: errorToPlain(error) } satisfies FromEngine, () => process.kill(process.pid, 'SIGKILL'));
}

async function open(message: OpenInstance): Promise<void> {
  memoryBytes = message.memoryBytes;
  try {
    ready.set(message.slot, await EngineInstance.open(message));
    send({ type: 'opened', slot: message.slot });
  } catch (error) {
    send({ type: 'opened', slot: message.slot, error: plain(error) });
  }
}

async function run(message: RunQuery): Promise<void> {
  flow.credits = message.credits;
  const running = opened();
  const progress = setInterval(() => send({ type: 'progress', percent: running.percent }), engineProgressMs);
  try {
    await sendAnswer(running, message, { send, takeCredit });
  } finally {
    clearInterval(progress);
  }
}

async function answer(message: ToEngine): Promise<void> {
  switch (message.type) {
    case 'claim':
      flow.isInterrupted = false;
      instance = ready.get(message.slot);
      ready.delete(message.slot);
      opened();
      memoryWatch ??= setInterval(watchMemory, memoryLookMs);
      send({ type: 'claimed' });
      return;
    case 'parse':
      send({ type: 'parsed', ...(await opened().parse(message.sql)) });
      return;
    case 'analyze': {
      const { scans, error } = await opened().analyze(message);
      send({ type: 'analyzed', scans: scans === null ? null : [...scans], ...(error === undefined ? {} : { error: plain(error) }) });
      return;
    }
    case 'run':
      if (flow.isInterrupted) throw new LakeError('cancelled', 'the query was interrupted');
      await run(message);
      return;
    case 'discard':
      clearInterval(memoryWatch);
      memoryWatch = undefined;
      instance?.close();
      instance = undefined;
      send({ type: 'discarded', residentBytes: process.memoryUsage.rss() });
      return;
    default:
      return;
  }
}

process.on('message', (message: ToEngine) => {
  if (message.type === 'credit') {
    flow.credits += message.credits;
    onCredit?.();
  } else if (message.type === 'interrupt') {
    flow.isInterrupted = true;
    instance?.interrupt();
    onCredit?.();
  } else if (message.type === 'open') {
    void open(message);
  } else {
    queue = queue.then(async () => {
      try {
        await answer(message);
      } catch (error) {
        send({ type: 'failed', error: plain(error) });
      }
    });
  }
});
// Not by `process.exit`: it would wait for the query that runs, for which nobody keeps a time limit any more.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
