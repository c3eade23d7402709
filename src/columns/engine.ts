/**
 * The DuckDB instance that column jobs share in their process: one thread, a memory bound, UTC, rows in order, and nothing
 * fetched from the network. It must not be opened in a process that has to answer quickly (design: decision 1).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { LakeError, MiB } from '../kernel/index.js';

/** DuckDB will not work below about this. */
const memoryBytesMin = 128 * MiB;

export interface ColumnEngineOptions {
  /** For DuckDB's spill files. */
  readonly tempDir: string;
  readonly memoryBytes: number;
}

export class ColumnEngine {
  readonly tempDir: string;
  readonly #memoryBytes: number;
  #instance: DuckDBInstance | undefined;

  constructor(options: ColumnEngineOptions) {
    this.tempDir = options.tempDir;
    this.#memoryBytes = Math.max(options.memoryBytes, memoryBytesMin);
  }

  /** Runs the work on a connection of its own, which is closed afterwards. */
  async withConnection<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const instance = await this.#open();
    const connection = await instance.connect();
    try {
      return await work(connection);
    } finally {
      connection.closeSync();
    }
  }

  close(): void {
    this.#instance?.closeSync();
    this.#instance = undefined;
  }

  async #open(): Promise<DuckDBInstance> {
    if (this.#instance !== undefined) return this.#instance;
    mkdirSync(this.tempDir, { recursive: true });
    const { DuckDBInstance } = await import('@duckdb/node-api');
    try {
      const instance = await DuckDBInstance.create(':memory:', {
        threads: '1',
        memory_limit: `${Math.floor(this.#memoryBytes / MiB)}MiB`,
        temp_directory: join(this.tempDir, `duckdb-${process.pid}`),
        preserve_insertion_order: 'true',
        // What is verified is what lies on the disk, not what was there a moment ago.
        enable_external_file_cache: 'false',
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
      });
      const connection = await instance.connect();
      await connection.run("SET GLOBAL TimeZone = 'UTC'");
      connection.closeSync();
      this.#instance = instance;
      return instance;
    } catch (error) {
      throw new LakeError('internal', 'DuckDB cannot be started', { cause: error, hint: 'Check memory and the temporary folder.' });
    }
  }
}
