/** What Emscripten made of zstd for `@foxglove/wasm-zstd`: the package's own typings leave out the module below its two functions. */
declare module '@foxglove/wasm-zstd/dist/wasm-zstd.js' {
  export interface Zstd {
    /** Emscripten's hook: instantiates the module and hands the instance on; may do both at once. */
    instantiateWasm(this: void, imports: Readonly<Record<string, unknown>>, receive: (instance: object) => void): object;
    /** 0 where there is no memory left. */
    _malloc(this: void, bytes: number): number;
    _free(this: void, at: number): void;
    /** Bytes written, −1 where the frames are damaged or hold more than `toBytes`. */
    _decompress(this: void, to: number, toBytes: number, from: number, fromBytes: number): number;
  }
  /** Fills in the object; resolves when it is ready, which is at once where the hook did its work at once. */
  export default function instantiate(zstd: Partial<Zstd>): Promise<unknown>;
}
