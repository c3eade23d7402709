/**
 * Where rows go: the terminal or pipe, or a file. A file gets its name when it is whole: until then it is written under another one
 * beside it, so that whoever looks never finds half of it.
 */
import type { WriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { LakeError } from '../../kernel/index.js';

export interface Destination {
  /** Whether somebody looks at it while it comes. */
  readonly isTerminal: boolean;
  /** Columns of the terminal. */
  readonly width: number;
  write(chunk: string | Uint8Array): Promise<void>;
  /** All of it is there, under its name. */
  finish(): Promise<void>;
  /** What was written is not wanted. */
  discard(): Promise<void>;
}

async function writeTo(stream: Writable, chunk: string | Uint8Array): Promise<void> {
  if (stream.write(chunk)) return;
  await new Promise<void>((resolve, reject) => {
    const onDrain = (): void => {
      stream.removeListener('error', onError);
      resolve();
    };
    const onError = (error: Error): void => {
      stream.removeListener('drain', onDrain);
      reject(error);
    };
    stream.once('drain', onDrain).once('error', onError);
  });
}

export interface TerminalLike extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const widthUnknown = 100;

export function streamDestination(stream: TerminalLike): Destination {
  return {
    get isTerminal() {
      return stream.isTTY === true;
    },
    get width() {
      // A terminal that does not know says 0.
      return stream.columns === undefined || stream.columns === 0 ? widthUnknown : stream.columns;
    },
    write: (chunk) => writeTo(stream, chunk),
    finish: async () => undefined,
    discard: async () => undefined,
  };
}

/** Errors: `usage` where the folder is not there or may not be written. */
export async function fileDestination(path: string): Promise<Destination> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  let stream: WriteStream;
  try {
    const file = await open(temporary, 'w');
    stream = file.createWriteStream();
  } catch (error) {
    throw new LakeError('usage', `${path} cannot be written: ${(error as Error).message}`, {
      hint: 'Name a file in a folder that is there.',
      cause: error,
    });
  }
  // Whoever writes next hears of it.
  stream.on('error', () => undefined);
  return {
    isTerminal: false,
    width: widthUnknown,
    write: (chunk) => writeTo(stream, chunk),
    finish: async () => {
      stream.end();
      await finished(stream);
      await rename(temporary, path);
    },
    discard: async () => {
      stream.destroy();
      await rm(temporary, { force: true });
    },
  };
}

const formatsByExtension: Readonly<Record<string, string>> = {
  '.parquet': 'parquet',
  '.arrow': 'arrow',
  '.arrows': 'arrow',
  '.csv': 'csv',
  '.json': 'json',
  '.ndjson': 'ndjson',
  '.jsonl': 'ndjson',
  '.md': 'markdown',
  '.txt': 'table',
};

/** What a file's name says of its format. */
export function formatOfFile(path: string): string | undefined {
  return formatsByExtension[extname(path).toLowerCase()];
}
