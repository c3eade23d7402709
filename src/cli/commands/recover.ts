/** `thermocline recover`: a new data directory out of a bucket alone, when the one of the service is lost. */
import type { Command } from 'commander';
import { formatBytes } from '../../kernel/index.js';
import { recover, type RecoverProgress, type RecoverReport } from '../../server/index.js';
import { openLogger } from '../../telemetry/index.js';
import { offsetGapDefault } from '../../tier/index.js';
import { usageError } from '../exit.js';
import { Progress, type ProgressLine } from '../progress.js';
import { repeated, type ServerFlags, serverConfigOf } from '../server-options.js';
import { printRows } from '../table.js';

interface Flags extends ServerFlags {
  readonly offsetGap: string;
  readonly acceptLoss?: boolean;
}

/** The latest of each step. */
class Steps {
  #reading = { objects: 0, tables: 0, coldFiles: 0 };
  #planned = { partitions: 0, tables: 0 };
  #partitions: number | undefined;
  #committed: number | undefined;
  #isPlanned = false;

  note(progress: RecoverProgress): void {
    if (progress.step === 'reading') this.#reading = progress;
    else if (progress.step === 'planned') {
      this.#planned = progress;
      this.#isPlanned = true;
    } else if (progress.step === 'writing') this.#partitions = progress.partitions;
    else if (progress.step === 'committing') this.#committed = progress.tables;
  }

  lines(): ProgressLine[] {
    const { objects, tables, coldFiles } = this.#reading;
    const share = (done: number, of: number): number => (of === 0 ? 1 : done / of);
    const read = `${objects} objects, ${tables} tables, ${coldFiles} cold files`;
    const lines: ProgressLine[] = [{ done: this.#isPlanned ? 1 : undefined, label: 'reading', text: read }];
    if (this.#partitions !== undefined) {
      const { partitions } = this.#planned;
      lines.push({ done: share(this.#partitions, partitions), label: 'writing', text: `${this.#partitions} of ${partitions} partitions` });
    }
    if (this.#committed !== undefined) {
      const { tables: of } = this.#planned;
      lines.push({ done: share(this.#committed, of), label: 'committing', text: `${this.#committed} of ${of} tables` });
    }
    return lines;
  }
}

async function run(flags: Flags): Promise<void> {
  for (const name of ['bucket', 'dataDir'] as const) {
    if (flags[name] === undefined)
      throw usageError(
        `--${name === 'bucket' ? 'bucket URL' : 'data-dir DIR'} is missing`,
        'Name both: recover --bucket URL --data-dir DIR.',
      );
  }
  const offsetGap = Number(flags.offsetGap);
  if (!Number.isSafeInteger(offsetGap) || offsetGap < 1)
    throw usageError(`--offset-gap ${flags.offsetGap} is not a whole number above 0`, 'Write --offset-gap 1000000.');
  const config = serverConfigOf(flags);
  const steps = new Steps();
  const progress = new Progress(() => steps.lines());
  let report: RecoverReport;
  try {
    report = await recover({
      config,
      offsetGap,
      acceptLoss: flags.acceptLoss ?? false,
      logger: openLogger({ role: 'recover', level: 'warn' }),
      onProgress: (step) => steps.note(step),
    });
  } finally {
    progress.stop();
  }
  printRows(report.partitions as readonly (RecoverReport['partitions'][number] & Record<string, unknown>)[]);
  for (const line of summaryOf(report)) process.stderr.write(`${line}\n`);
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function summaryOf(report: RecoverReport): string[] {
  const lost = report.partitions.filter((row) => row.lost_from !== null);
  const lostRecords = lost.reduce((sum, row) => sum + (row.lost_to ?? 0) - (row.lost_from ?? 0), 0);
  const age = report.state === null ? '' : `, by the state of ${new Date(report.state.writtenAtMs).toISOString()}`;
  return [
    `recovered cluster ${report.clusterId}: ${counted(report.topics, 'topic')}, ${counted(report.partitions.length, 'partition')}, ${counted(report.coldFiles, 'cold file')} (${formatBytes(report.coldBytes)}), ${counted(report.committedOffsets, 'committed offset')}${age}`,
    lost.length === 0
      ? 'nothing is known to be lost; what was acknowledged after that and not yet committed is'
      : `lost: ${counted(lostRecords, 'offset')} of ${counted(lost.length, 'partition')} that were hot only (lost_from to lost_to), and what was acknowledged after that`,
    ...report.remarks.map((remark) => `note: ${remark}`),
  ];
}

export function register(program: Command): void {
  program
    .command('recover')
    .description('make a new data folder out of a bucket alone')
    .option('--bucket <url>', 'file:///path or s3://bucket/prefix that the service ran with')
    .option('--data-dir <folder>', 'folder that is to become the data folder; empty, or of a recovery that was interrupted')
    .option('--offset-gap <count>', 'offsets between the last that are known and the first new ones', String(offsetGapDefault))
    .option('--accept-loss', 'go on where the bucket has less than was committed to it')
    .option('--config <file>', 'configuration file (TOML)')
    .option('--set <key=value>', 'any configuration key, may be repeated', repeated)
    .action(run);
}
