/**
 * What the query service and a query engine (a child process) say to each other. A child serves one query at a time:
 *
 *     claim → claimed → parse → parsed → analyze → analyzed (as often as needed) → run → columns → rows … → end → discard → discarded
 *                       └ left out where the service knows the answer ┘        `rows` cost one credit each; `failed` may answer any
 *
 * An instance is single-use. Instances are opened ahead of the queries, also while one runs: `open → opened` takes no part in the
 * order above.
 */
import type { PlainError } from '../kernel/index.js';
import type { AnalyzeOrder } from './analyzed.js';
import type { AnswerFormat } from './formats/format.js';
import type { ParameterValue } from './parameters.js';
import type { TableScans } from './scan-plan.js';
import type { TableReference } from './statement.js';

export interface AnswerColumn {
  readonly name: string;
  /** DuckDB's name of the type. */
  readonly type: string;
}

export interface OpenInstance {
  readonly type: 'open';
  /** Tells the instances of a child apart. */
  readonly slot: number;
  /** Directories relative to the child's own (the folder of leases): what the query may read, and where it may spill. */
  readonly lease: string;
  readonly spill: string;
  readonly memoryBytes: number;
  readonly spillBytes: number;
  /** DDL of what every query may use. */
  readonly prelude: readonly string[];
}

export interface ParseQuery {
  readonly type: 'parse';
  readonly sql: string;
}

/** What an analysis makes and drops again. */
export interface Definition {
  readonly name: string;
  readonly create: string;
  readonly drop: string;
}

export interface AnalyzeQuery {
  readonly type: 'analyze';
  /** As `parsed` gave it. */
  readonly sql: string;
  /** DDL of empty tables, with the columns of the views to come. */
  readonly tables: readonly Definition[];
  /** DDL of saved views, in an order in which they can be made; of one that cannot be, the analysis answers the error. */
  readonly views: readonly Definition[];
  /** DDL of what both the analysis and the run need; executed once. */
  readonly prelude: readonly string[];
  readonly parameters: readonly (readonly [string, ParameterValue])[];
}

export type AnswerShape = 'rows' | 'records' | AnswerFormat;

export interface RunQuery {
  readonly type: 'run';
  /** As `parsed` gave it. */
  readonly sql: string;
  /** It is not the text that was asked: what is wrong with it has no place to point to. */
  readonly isRewritten?: boolean;
  /** As for the analysis, and executed here where there was none. */
  readonly prelude: readonly string[];
  /** More than one only where there is work for several. */
  readonly threads: number;
  /** Rows have many columns that are computed: DuckDB must not read them a second time after it has chosen rows. */
  readonly isWide: boolean;
  /** Views over the leased files. */
  readonly setup: readonly string[];
  /** The answer is the query's columns, a row each. */
  readonly isDescribed: boolean;
  readonly parameters: readonly (readonly [string, ParameterValue])[];
  /** In the place of its rows: where the query's time went. */
  readonly analyze?: AnalyzeOrder;
  /** How the rows are written: in a format of an answer as `bytes`, else as messages of `rows`. */
  readonly shape: AnswerShape;
  /** Of `parquet`: what COPY takes as FIELD_IDS; none where left out. */
  readonly fieldIds?: string;
  /** Of a format that is one file: larger ones end the query with `query-too-large`. */
  readonly fileBytesMax: number;
  readonly credits: number;
  /** More rows than this end the query with `query-too-large`. */
  readonly maxRows: number;
}

/** What does not depend on anything but the text. */
export interface ParsedStatement {
  /** The text to run: as given, but for the name of the schema `system`. */
  readonly sql: string;
  /** To run instead, where it reads JSON: errors of it have no place in the text. */
  readonly runSql?: string;
  readonly tables: readonly TableReference[];
  readonly parameters: readonly string[];
  /** Calls nothing that depends on the time, on chance or on the session: the same columns give the same plan. */
  readonly isRepeatable: boolean;
  /** Calls table functions, or reads more than one table: work that the size of its files says nothing about. */
  readonly isCompound: boolean;
}

export type ToEngine =
  | OpenInstance
  /** Takes an instance that is open; the answer also says that the child is alive: its death may not have been heard of yet. */
  | { readonly type: 'claim'; readonly slot: number }
  | ParseQuery
  | AnalyzeQuery
  | RunQuery
  | { readonly type: 'credit'; readonly credits: number }
  | { readonly type: 'interrupt' }
  | { readonly type: 'discard' };

export type FromEngine =
  /** `error`: the instance could not be opened. */
  | { readonly type: 'opened'; readonly slot: number; readonly error?: PlainError }
  | { readonly type: 'claimed' }
  | ({ readonly type: 'parsed' } & ParsedStatement)
  | {
      readonly type: 'analyzed';
      /** By table name; `null` where DuckDB could not make a plan to read: then nothing prunes. */
      readonly scans: readonly (readonly [string, TableScans])[] | null;
      /** Why the query cannot be bound to these columns, where it cannot. */
      readonly error?: PlainError;
    }
  | { readonly type: 'columns'; readonly columns: readonly AnswerColumn[] }
  /** JSON text of an array of rows; of records, one JSON object a line. */
  | { readonly type: 'rows'; readonly text: string; readonly count: number }
  /** A piece of the answer as it goes out; `count` rows have come with it. */
  | { readonly type: 'bytes'; readonly bytes: Uint8Array; readonly count: number }
  /** Sent now and then while a query runs, whoever asks; 0 to 100, or −1 where DuckDB cannot tell. */
  | { readonly type: 'progress'; readonly percent: number }
  | { readonly type: 'end'; readonly rows: number }
  | { readonly type: 'discarded'; readonly residentBytes: number }
  | { readonly type: 'failed'; readonly error: PlainError };

/** Arguments of the child process, as one JSON text. */
export interface EngineArguments {
  /** The folder of leases: the child's working directory. */
  readonly directory: string;
  /** How far the child gives way to others, 0 … 19. */
  readonly niceness: number;
  /** The user and group the child becomes after it has loaded its modules, where the service runs as root. */
  readonly dropTo?: { readonly uid: number; readonly gid: number };
}
