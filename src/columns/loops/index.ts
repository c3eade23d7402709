/**
 * The hot loops over bytes, compiled by AssemblyScript to one WebAssembly module (`dist/columns/loops.wasm`), which
 * `hot-loops.ts` loads. They know addresses and lengths, no objects: whoever calls them has reserved the memory. Nothing here
 * has data of its own in memory, so that they may run on the memory of another module, too.
 */
export { appendRecord, beginRawBatch, beginRecord, mixBytes, mixNumber } from './digest';
export { readDelta } from './delta';
export { digestedRows, digestRows, lastDigestedOffset, openRows } from './digest-rows';
export { packLevels } from './levels';
export { lz4Block } from './lz4';
export { kindsOf, nameAt, nameCount, nameLength } from './names';
export { placeDelta, placeTerms, sumLengths } from './places';
export { skipHeaders, writeRecords } from './records';
export { decodeIndexes } from './runs';
export { isFiniteSoFar, openScan, pairCount, scan, scanBytes } from './scan';
export {
  beginBatch,
  openStage,
  setStagedDigest,
  stagedDigest,
  stagedTimestampMax,
  stagedTimestampMin,
  takeEmptyRow,
  takeRecords,
} from './stage-records';
export {
  clearColumns,
  columnsBytes,
  entryCount,
  hasAnyHeader,
  isFull,
  largest,
  levelsAt,
  openColumns,
  packedLevelsBytesMax,
  rowCount,
  smallest,
  valuesAt,
  valuesEnd,
} from './staged-columns';
export { unpack } from './unpack';
