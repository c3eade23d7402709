/**
 * `recover.json` in a data directory: what a recovery is about to do, and later what it did. While it says that the recovery is under
 * way the directory is not whole, and no broker starts in it.
 */
import { join } from 'node:path';
import { type Disk, LakeError, readIfThere, systemDisk, writeDurably } from '../kernel/index.js';

export const recoverJournalFile = 'recover.json';

const formatName = 'thermocline-recover/1';

export interface RecoverJournal {
  readonly status: 'under-way' | 'done';
  /** Whatever the recovery needs to go on, or reports. */
  readonly content: unknown;
}

/** `undefined` where no recovery has begun. Errors: `internal` where the file cannot be read. */
export async function readRecoverJournal(dataDir: string, disk: Disk = systemDisk): Promise<RecoverJournal | undefined> {
  const path = join(dataDir, recoverJournalFile);
  const text = await readIfThere(disk, path);
  if (text === undefined) return undefined;
  try {
    const { format, status, content } = JSON.parse(text) as { format?: unknown; status?: unknown; content?: unknown };
    if (format === formatName && (status === 'under-way' || status === 'done')) return { status, content };
  } catch (cause) {
    throw unreadable(path, cause);
  }
  throw unreadable(path, undefined);
}

function unreadable(path: string, cause: unknown): LakeError {
  return new LakeError('internal', `${path} is not the journal of a recovery`, {
    cause,
    hint: 'Empty the data directory and recover again.',
    facts: { path },
  });
}

/** Durable when it resolves. */
export function writeRecoverJournal(dataDir: string, { status, content }: RecoverJournal): Promise<void> {
  return writeDurably(
    systemDisk,
    join(dataDir, recoverJournalFile),
    `${JSON.stringify({ format: formatName, status, content }, null, 1)}\n`,
  );
}

/** Errors: `recover-unfinished`. */
export async function requireRecovered(dataDir: string, disk: Disk): Promise<void> {
  if ((await readRecoverJournal(dataDir, disk))?.status !== 'under-way') return;
  throw new LakeError('recover-unfinished', `the recovery into ${dataDir} was not finished`, {
    hint: 'Run the same `thermocline recover` again: it goes on where it was interrupted.',
    facts: { dataDir },
  });
}

/** What a broker keeps in a data directory, beside the journal: gone, so that it can be written anew. */
export async function clearBrokerFiles(dataDir: string): Promise<void> {
  for (const name of ['log', 'cache', 'metadata.json', 'meta.properties'])
    await systemDisk.rm(join(dataDir, name), { recursive: true, force: true });
}
