// Apache Kafka's command-line tools, with Kafka's own Java client inside.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { kafka44 } from './outside-tools.js';

const outputBytesMax = 256 * 1024 * 1024;
/** A Java machine starts in a second or two; anything near this hangs. */
const toolTimeoutMs = 120_000;

export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a tool to its end. `main` is a class of `org.apache.kafka.tools`. */
export function kafkaTool(main: string, args: readonly string[], input = ''): Promise<ToolResult> {
  // Each starts, does one thing and ends: what a long life would gain is not worth its start.
  const brief = ['-Xmx256M', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  const java = [...brief, '-Djava.awt.headless=true', '-cp', join(kafka44.path ?? '', 'tools', '*'), `org.apache.kafka.tools.${main}`];
  return new Promise((resolve) => {
    const child = execFile('java', [...java, ...args], { maxBuffer: outputBytesMax, timeout: toolTimeoutMs }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}
