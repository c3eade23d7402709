/**
 * The hot loops over bytes, compiled by AssemblyScript to one WebAssembly module (`dist/columns/loops.wasm`), which
 * `hot-loops.ts` loads. They know addresses and lengths, no objects: whoever calls them has reserved the memory.
 */
export { placeDelta, placeTerms, sumLengths } from './places';
export { skipHeaders, writeRecords } from './records';
export { decodeIndexes } from './runs';
export { unpack } from './unpack';
