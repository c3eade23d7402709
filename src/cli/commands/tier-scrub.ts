/** `thermocline tier scrub`: reads every cold file again; progress on stderr, what was found on stdout, exit code 10 where a file is damaged. */
import { formatBytes, secondMs, systemClock } from '../../kernel/index.js';
import type { ClientFlags } from '../client-options.js';
import { exitCodes } from '../exit.js';
import { runScrub } from '../scrub-lines.js';
import { printRows } from '../table.js';

interface ScrubLine {
  readonly topic?: string;
  readonly partition?: number;
  readonly key?: string;
  readonly rows?: number;
  readonly bytes?: number;
  readonly problem?: string;
  readonly hint?: string;
}

interface ScrubEnd {
  readonly files: number;
  readonly bytes: number;
  readonly findings: number;
  readonly holes: number;
}

const progressEveryMs = 5 * secondMs;

/** On a terminal a table of the damaged files; else each file as it has been read, one JSON object a line. */
export async function scrub(topic: string | undefined, flags: ClientFlags): Promise<void> {
  const path = topic === undefined ? '/v1/tier/scrub' : `/v1/tier/scrub?topic=${encodeURIComponent(topic)}`;
  const isTerminal = process.stdout.isTTY;
  const damaged: Record<string, unknown>[] = [];
  const beganMs = systemClock.monotonicMs();
  let [files, bytes, saidMs] = [0, 0, beganMs];
  const end = await runScrub<ScrubEnd>(flags.server, path, (told) => {
    const line = told as ScrubLine;
    files++;
    bytes += line.bytes ?? 0;
    if (!isTerminal) printRows([{ ...line }], false);
    if (line.problem !== undefined) {
      if (isTerminal) damaged.push({ topic: line.topic, partition: line.partition, key: line.key, problem: line.problem });
      process.stderr.write(`damaged: ${line.key}: ${line.problem}\n${line.hint === undefined ? '' : `hint: ${line.hint}\n`}`);
    }
    const nowMs = systemClock.monotonicMs();
    if (nowMs - saidMs < progressEveryMs) return;
    saidMs = nowMs;
    process.stderr.write(`${files} files, ${formatBytes(bytes)}, ${formatBytes(bytes / ((nowMs - beganMs) / secondMs))}/s\n`);
  });
  printRows(isTerminal ? damaged : []);
  const { findings, holes } = end;
  process.stderr.write(
    `${end.files} cold files, ${formatBytes(end.bytes)} read; ${findings} damaged; ` +
      `${holes} ${holes === 1 ? 'range' : 'ranges'} below the boundary without records\n`,
  );
  if (findings > 0) process.exitCode = exitCodes.unhealthy;
}
