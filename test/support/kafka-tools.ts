// Apache Kafka's command-line tools, with Kafka's own Java client inside.
import { execFile } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { kafka44, kafka44Tools } from './outside-tools.js';

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
  return java([inKafka('tools', '*')], main, args, input);
}

/** As `kafkaTool`, with the tools that were released with the broker; they need its jars, and parse arguments as the others do. */
export function kafka44Tool(main: string, args: readonly string[]): Promise<ToolResult> {
  const parsers = ['argparse4j-0.7.0.jar', 'jopt-simple-5.0.4.jar'].map((name) => inKafka('tools', name));
  return java([kafka44Tools.path ?? '', inKafka('libs', '*'), ...parsers], main, args, '');
}

const inKafka = (...names: readonly string[]): string => join(kafka44.path ?? '', ...names);

function java(classPath: readonly string[], main: string, args: readonly string[], input: string): Promise<ToolResult> {
  // Each starts, does one thing and ends: what a long life would gain is not worth its start.
  const brief = ['-Xmx256M', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  const machine = [...brief, '-Djava.awt.headless=true', '-cp', classPath.join(delimiter), `org.apache.kafka.tools.${main}`];
  return new Promise((resolve) => {
    const options = { maxBuffer: outputBytesMax, timeout: toolTimeoutMs };
    const child = execFile('java', [...machine, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}
