/** `thermocline tier scrub`: reads every cold file again; progress on stderr, what was found on stdout, exit code 10 where a file is damaged. */
import { formatBytes, LakeError, secondMs, systemClock } from '../../kernel/index.js';
import { callGateway, type ClientFlags, errorOfProblem } from '../client-options.js';
import { exitCodes } from '../exit.js';
import { printRows } from '../table.js';

interface ScrubLine {
  readonly topic?: string;
  readonly partition?: number;
  readonly key?: string;
  readonly rows?: number;
  readonly bytes?: number;
  readonly problem?: string;
  readonly hint?: string;
  readonly _end?: { readonly files: number; readonly bytes: number; readonly findings: number; readonly holes: number };
  readonly _error?: { readonly status?: number };
}

const progressEveryMs = 5 * secondMs;

/** On a terminal a table of the damaged files; else each file as it has been read, one JSON object a line. */
export async function scrub(topic: string | undefined, flags: ClientFlags): Promise<void> {
  const path = topic === undefined ? '/v1/tier/scrub' : `/v1/tier/scrub?topic=${encodeURIComponent(topic)}`;
  const response = await callGateway(flags.server, path, { method: 'POST' });
  const isTerminal = process.stdout.isTTY;
  const damaged: Record<string, unknown>[] = [];
  const beganMs = systemClock.monotonicMs();
  let [files, bytes, saidMs] = [0, 0, beganMs];
  for await (const line of linesOf(response)) {
    if (line._error !== undefined) throw errorOfProblem(JSON.stringify(line._error), line._error.status ?? 500);
    if (line._end !== undefined) {
      printRows(isTerminal ? damaged : []);
      const { findings, holes } = line._end;
      process.stderr.write(
        `${line._end.files} cold files, ${formatBytes(line._end.bytes)} read; ${findings} damaged; ` +
          `${holes} ${holes === 1 ? 'range' : 'ranges'} below the boundary without records\n`,
      );
      if (findings > 0) process.exitCode = exitCodes.unhealthy;
      return;
    }
    files++;
    bytes += line.bytes ?? 0;
    if (!isTerminal) printRows([{ ...line }], false);
    if (line.problem !== undefined) {
      if (isTerminal) damaged.push({ topic: line.topic, partition: line.partition, key: line.key, problem: line.problem });
      process.stderr.write(`damaged: ${line.key}: ${line.problem}\n${line.hint === undefined ? '' : `hint: ${line.hint}\n`}`);
    }
    const nowMs = systemClock.monotonicMs();
    if (nowMs - saidMs < progressEveryMs) continue;
    saidMs = nowMs;
    process.stderr.write(`${files} files, ${formatBytes(bytes)}, ${formatBytes(bytes / ((nowMs - beganMs) / secondMs))}/s\n`);
  }
  throw new LakeError('peer-gone', 'the answer ended before the scrub did', { hint: 'Look at the log of the service, and scrub again.' });
}

async function* linesOf(response: Response): AsyncGenerator<ScrubLine> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as ScrubLine;
  }
}
