/** Staged files of one partition into one cold file, with the typed columns computed from the values on the way. */
import { invariant } from '../kernel/index.js';
import { writeColdFile } from './cold-file.js';
import { composeDigests } from './digest.js';
import type { ColumnEngine } from './engine.js';
import type { EncodeJob, EncodeResult } from './jobs.js';
import { baseColumnNames, quoteName, quoteText } from './schema.js';
import { typedSelect, untypedSelect } from './typed-sql.js';

/** Does an `encode` job. Errors: `internal` where DuckDB fails. */
export async function encode(job: EncodeJob, engine: ColumnEngine): Promise<Omit<EncodeResult, 'cpuMs'>> {
  const staged = job.staged.filter((part) => part.rows > 0);
  invariant(staged.length > 0, 'a file is made of at least one row', { outPath: job.outPath });
  const outputs = job.typedColumns.map((column) => ({ name: column.name, kind: column.kind, as: column.columnName }));
  const source = {
    from: `read_parquet([${staged.map((part) => quoteText(part.path)).join(', ')}])`,
    value: quoteName('_value'),
    keep: baseColumnNames.map(quoteName),
  };
  const isTyped = job.valueFormat === 'auto' || job.valueFormat === 'json';
  return await writeColdFile(
    {
      select: isTyped ? typedSelect(outputs, source) : untypedSelect(outputs, source),
      typedColumns: job.typedColumns,
      rows: staged.reduce((sum, part) => sum + part.rows, 0),
      rawBytes: staged.reduce((sum, part) => sum + part.rawBytes, 0),
      digest: composeDigests(...staged.map((part) => part.digest)),
      baseOffset: (job.staged[0] as { baseOffset: number }).baseOffset,
      lastOffset: (job.staged.at(-1) as { lastOffset: number }).lastOffset,
      footer: job.footer,
      outPath: job.outPath,
    },
    engine,
  );
}
