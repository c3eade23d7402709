/** Staged files of one partition into one cold file, with the typed columns computed from the values on the way. */
import { invariant } from '../kernel/index.js';
import { writeColdFile } from './cold-file.js';
import { composeDigests } from './digest.js';
import type { ColumnEngine } from './engine.js';
import type { EncodeJob, EncodeResult } from './jobs.js';
import { baseColumnNames, quoteName, quoteText } from './schema.js';
import { onlyKindsOf, typedSelect, untypedSelect } from './typed-sql.js';

/** zstd's: a third less CPU than its default for files larger by 1 to 6 %; compaction takes the default. */
const fastLevel = 1;

/** Does an `encode` job. Errors: `internal` where DuckDB fails. */
export async function encode(job: EncodeJob, engine: ColumnEngine): Promise<Omit<EncodeResult, 'cpuMs'>> {
  const staged = job.staged.filter((part) => part.rows > 0);
  invariant(staged.length > 0, 'a file is made of at least one row', { outPath: job.outPath });
  const outputs = job.typedColumns.map((column) => ({ name: column.name, kind: column.kind, as: column.columnName }));
  const present = baseColumnNames.filter((name) => !staged.every((part) => part.absentColumns.includes(name)));
  const source = {
    from: `read_parquet([${staged.map((part) => quoteText(part.path)).join(', ')}])`,
    value: quoteName('_value'),
    keep: present.map(quoteName),
  };
  const isTyped = job.valueFormat === 'auto' || job.valueFormat === 'json';
  const onlyKinds = staged.every((part) => part.isFinite) ? onlyKindsOf(staged.flatMap((part) => part.pairs)) : undefined;
  return await writeColdFile(
    {
      select: isTyped ? typedSelect(outputs, source, onlyKinds) : untypedSelect(outputs, source),
      values: source.from,
      baseColumns: present,
      typedColumns: job.typedColumns,
      rows: staged.reduce((sum, part) => sum + part.rows, 0),
      rawBytes: staged.reduce((sum, part) => sum + part.rawBytes, 0),
      digest: composeDigests(...staged.map((part) => part.digest)),
      baseOffset: (job.staged[0] as { baseOffset: number }).baseOffset,
      lastOffset: (job.staged.at(-1) as { lastOffset: number }).lastOffset,
      footer: job.footer,
      compressionLevel: fastLevel,
      isForBucket: job.isForBucket,
      outPath: job.outPath,
    },
    engine,
  );
}
