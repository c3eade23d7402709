/**
 * columns: record batches ⇄ columns ⇄ Parquet. Stages batches as raw columns, encodes them with DuckDB into cold files with
 * typed columns, makes one file of several, reads files back to compare them, and turns their rows into record batches again.
 *
 * Owns: the columns and their field ids, the one definition of a typed column, the digest, the worker children that do the
 * jobs of `jobs.ts`, the threads that rebuild batches. Writes only the paths a job gives it and its own temporary folder.
 * Invariants: a typed column is a pure function of the value's bytes; `scanner.ts` finds exactly the pairs that `typed-sql.ts`
 * gives values for; a digest is computed from raw batches by code that shares nothing with the encoder; no object per record.
 * Loops over bytes are AssemblyScript (`loops/`), one WebAssembly module with no data of its own; whoever calls one has checked the lengths
 * or lets it check them, and has reserved memory that is bounded by a named constant.
 * Test: `npx vitest run --config test/vitest.config.ts test/unit/columns test/integration/columns test/property/columns test/golden/columns`.
 */
export * from './jobs.js';
export {
  type BatchRebuilder,
  type BatchRebuilderOptions,
  enoughShare,
  openBatchRebuilder,
  type RebuildJob,
  type RebuildResult,
  type RebuiltPart,
} from './batch-rebuilder.js';
export { composeDigests, emptyDigest, RecordDigest } from './digest.js';
export {
  assignColumns,
  compareCodePoints,
  maxFieldNameBytes,
  maxTypedColumns,
  pairKey,
  pairsToAdd,
  type PresentedColumn,
  presentColumns,
  type SqlType,
  sqlTypeOf,
} from './naming.js';
export * from './schema.js';
export { onlyKindsOf, type TypedOutput, typedSelect, type TypedSource, untypedSelect } from './typed-sql.js';
export { findTimestamp, type FoundTime, type RangedFile, type TimeLookup, type TimeQuestion } from './time-lookup.js';
export { type KeyedRow, type KeyQuestion, lastRowOfKey, ReadAllowance } from './key-search.js';
export { footerLength } from './parquet-footer.js';
export {
  type ChunkPlace,
  type GroupLayout,
  type PartLayout,
  type PartPlan,
  beginsWithPage,
  planPart,
  readPartLayout,
} from './parquet-parts.js';
export { ColumnEngine, type ColumnEngineOptions } from './engine.js';
export { type ColdFileFooter, footerKeys, readFileFooter } from './cold-file.js';
export { compactInputsMax } from './compact.js';
export { runColumnJob } from './run-column-job.js';
export { type ColumnWorkersOptions, openColumnWorkers } from './workers.js';
