/** One query from its text to its rows. The order is that of the design (§6): parse → pin → tail → analyze → lease → run. */
import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import type { BrokerState, SavedView, TopicState } from '../control/index.js';
import { isErrno, isLakeError, LakeError, MiB, type TimestampMs } from '../kernel/index.js';
import type { TableSnapshot } from '../lake/index.js';
import type { AsOf } from './as-of.js';
import type { AnswerColumn, AnswerShape, ParsedStatement } from './engine-protocol.js';
import { answerCredits } from './engine-reading.js';
import { frontOf, type NamedTable } from './front.js';
import { earliestMs, momentOf } from './moment.js';
import { Lease } from './lease.js';
import { NamedRelations } from './named-relations.js';
import { boundParameters } from './parameters.js';
import { findTopic, mergedColumns, type PinBounds, type PinnedTopic, pinTopic, tokenOf } from './pin.js';
import { QueryFiles } from './query-files.js';
import type { CheckedLimits, QueryRequest } from './query-limits.js';
import { columnsOf, QueryPlanner, withoutRows } from './query-planner.js';
import type { RunContext } from './run-context.js';
import { expandViews } from './saved-views.js';
import { requireScanBytes, requireTimeBounds } from './scan-bounds.js';
import { newRunRecord } from './query-stats.js';
import { StagedTails } from './staged-tails.js';
import type { TableReference } from './statement.js';
import { describedTopic, needsSnapshots, requireSystemTable, systemSetup } from './system-tables.js';
import type { SnapshotToken } from './token.js';

/** A single scan of less is done before several threads have started. Rows: two of the largest row groups, of which DuckDB gives a thread one at a time. */
const threadsMin = { bytes: 2 * MiB, rows: 2 * 122_880 };
/** Pins of one query that deletions overtake, one after the other, before it is given up. */
const pinsMax = 5;

export interface StartedQuery {
  readonly columns: readonly AnswerColumn[];
  readonly token: SnapshotToken;
  /** The whole answer, where no engine was asked for it. */
  readonly text?: string;
}

export class QueryRun {
  readonly #run: RunContext;
  readonly #shape: AnswerShape;
  /** One for all that is tried: what a failed try has put there keeps its name. */
  #lease: Lease | undefined;

  constructor(run: RunContext, shape: AnswerShape) {
    this.#run = run;
    this.#shape = shape;
    // Each file that waits for its turn listens.
    setMaxListeners(0, run.signal);
  }

  /**
   * Resolves when the engine has begun to answer. Where a view is to be tried, it counts as saved, and no file is read. Errors: all of
   * a query's, see the room's card.
   */
  async start(request: QueryRequest, asOf: AsOf | undefined, limits: CheckedLimits, tried?: SavedView): Promise<StartedQuery> {
    const gone = new Set<string>();
    for (let pins = 1; ; pins++) {
      try {
        return await this.#start(request, asOf, limits, tried);
      } catch (error) {
        if (pins >= pinsMax || !isLakeError(error)) throw error;
        // Records were deleted between the pin and the read of the tail. Who asks for what is there now is answered from the new log start,
        // whoever came with a token is told by the next pin which records are gone.
        const isOfTail = error.facts['offset'] !== undefined;
        const isOvertaken = error.code === 'token-gone' && (asOf === undefined || isOfTail);
        // A snapshot was known for longer than its files were kept: the newest one names others. Where it does not, the file is lost.
        const key = isGone(error) ? String(error.facts['key']) : undefined;
        const isOutdated = key !== undefined && !gone.has(key) && this.#run.ports.tables.distrust(key);
        if (!isOvertaken && !isOutdated) throw error;
        if (key !== undefined) gone.add(key);
        Object.assign(this.#run.record, newRunRecord(this.#run.record.stages));
      }
    }
  }

  async #start(request: QueryRequest, asOf: AsOf | undefined, limits: CheckedLimits, tried?: SavedView): Promise<StartedQuery> {
    const { ports, signal, record, records } = this.#run;
    const startedMs = ports.nowMs();
    const front = frontOf(request.sql);
    record.stages.enter('parse');
    const tails = new StagedTails(this.#run);
    const planner = new QueryPlanner(this.#run, tails);
    const files = new QueryFiles(this.#run, tails, planner);
    try {
      const [parsed, known] = await Promise.all([
        records?.statement ?? this.#parse(front.sql),
        ports.control.call('broker.describe', {}, { signal }),
      ]);
      const broker = tried === undefined ? known : withTried(known, tried);
      record.stages.enter('pin');
      if (asOf?.kind === 'token') requireSameCluster(asOf.token, broker);
      for (const prefix of ports.tables.keepOnly(broker.topics)) await ports.cold.forgetBelow(prefix);
      const parameters = boundParameters(parsed.parameters, request.params);
      const { statement, views } = await expandViews(parsed, broker, (sql) => this.#parse(sql), tried);
      const relations = new NamedRelations(statement.tables);
      const { topics, systemNames } = resolveTables(broker, statement.tables);
      const bounds = asOf?.kind === 'time' ? await this.#atTime(broker, topics, asOf.atMs) : asOf;
      const pinned = await Promise.all(topics.map((topic) => pinTopic(ports, broker, topic, bounds, signal)));
      await this.#dropCommitted(broker, pinned);
      record.stages.enter('plan');
      const prelude = await this.#systemTables(broker, systemNames);
      const plan = await planner.plan(pinned, { statement, relations, parameters, prelude, views });
      const pins = pinned.map((topic) => ({ topic, columns: columnsOf(plan, topic) }));
      const token = tokenOf(broker.clusterId, pins);
      const [only] = pinned;
      if (records?.lastOf !== undefined && only !== undefined) {
        record.stages.enter('read');
        const text = await files.lastRecord(only, records.lastOf, plan, limits.maxScanBytes);
        if (text !== undefined) return { columns: [], token, text };
      }
      const isDescribed = front.kind === 'describe';
      const isAnalyzed = front.kind === 'explain' && front.isAnalyzed;
      const isExplained = front.kind === 'explain' && !isAnalyzed;
      // Columns can be told without a row.
      const isRowless = isDescribed || tried !== undefined;
      const reach = isExplained ? [] : await files.reachOf(pinned, isRowless ? withoutRows(pinned, plan) : plan, relations);
      if (!isRowless && !isExplained) {
        if (records === undefined) requireTimeBounds(pinned, plan.scans);
        requireScanBytes(reach, tails, limits.maxScanBytes);
      }
      record.stages.enter('wait');
      const session = await this.#run.engine();
      record.stages.enter('read');
      this.#lease ??= new Lease(session.lease, session.leasePath);
      const made = await files.lease(this.#lease, reach, plan, relations);
      // Whatever comes next is told by the engine.
      record.stages.enter('wait');
      const described = isDescribed ? topicNamed(front.table, pinned) : undefined;
      const instead =
        described === undefined ? undefined : describedTopic({ snapshot: described.snapshot, columns: columnsOf(plan, described) });
      record.stats.plan_ms = Math.round(ports.nowMs() - startedMs);
      const explained = isExplained ? await files.explained(pinned, plan, relations) : undefined;
      record.phase = 'running';
      const answer = await session.ask(
        {
          type: 'run',
          sql: explained ?? instead?.sql ?? parsed.runSql ?? parsed.sql,
          isRewritten: parsed.runSql !== undefined,
          prelude,
          // Each thread has vectors of its own for all of the columns.
          threads: files.isWide ? 1 : this.#threadsFor(statement, files.rows),
          isWide: files.isWide,
          setup: [...made, ...(isExplained ? [] : views.map(({ create }) => create)), ...(instead?.setup ?? [])],
          isDescribed: isDescribed && instead === undefined,
          parameters: isExplained ? [] : parameters,
          ...(isAnalyzed ? { analyze: files.analyzed() } : {}),
          shape: this.#shape,
          fileBytesMax: ports.limits.parquetBytesMax,
          credits: answerCredits,
          maxRows: limits.maxRows,
        },
        'columns',
      );
      return { columns: answer.columns, token };
    } finally {
      // From here on the lease has links of its own.
      tails.release();
    }
  }

  async #atTime(broker: BrokerState, topics: readonly TopicState[], atMs: TimestampMs): Promise<PinBounds> {
    const { ports, signal, record } = this.#run;
    const moment = await momentOf(ports, broker, topics, atMs, signal);
    record.stats.as_of_ms = earliestMs(moment) ?? atMs;
    return { kind: 'time', moment };
  }

  async #parse(sql: string): Promise<ParsedStatement> {
    const { ports } = this.#run;
    const known = ports.statements.parsed(sql);
    if (known !== undefined) return known;
    const session = await this.#run.engine();
    const { type: _, ...parsed } = await session.ask({ type: 'parse', sql }, 'parsed');
    ports.statements.keepParsed(sql, parsed);
    return parsed;
  }

  #threadsFor({ isCompound }: ParsedStatement, rows: number): number {
    const { cold_bytes, hot_bytes } = this.#run.record.stats;
    const isLarge = cold_bytes + hot_bytes >= threadsMin.bytes || rows >= threadsMin.rows;
    return isCompound || isLarge ? availableParallelism() : 1;
  }

  /** Chunks of topics that are gone, below the log start, and below the boundary of the table as this query knew it. */
  async #dropCommitted(broker: BrokerState, pinned: readonly PinnedTopic[]): Promise<void> {
    const topicIds = new Set(broker.topics.map((topic) => topic.id));
    await this.#run.ports.tails.drop((of, chunk) => {
      const topic = pinned.find((candidate) => candidate.state.id === of.topicId);
      const partition = topic?.partitions.find((candidate) => candidate.partition === of.partition);
      return (
        topicIds.has(of.topicId) && (partition === undefined || chunk.lastOffset >= Math.max(partition.boundary, partition.startOffset))
      );
    });
  }

  async #systemTables(broker: BrokerState, names: readonly string[]): Promise<string[]> {
    const { ports, signal } = this.#run;
    const snapshots: TableSnapshot[] = [];
    const mustLoad = names.some(needsSnapshots);
    for (const topic of names.length === 0 ? [] : broker.topics.filter(({ isInternal }) => !isInternal)) {
      const known = ports.tables.known(topic.id);
      if (mustLoad) snapshots.push(await ports.tables.snapshot(broker.clusterId, topic, signal));
      else if (known !== undefined) snapshots.push(known);
    }
    const columns = snapshots.map((snapshot) => ({
      snapshot,
      columns: mergedColumns(snapshot.columns, ports.tails.knownPairs(snapshot.topicId)),
    }));
    return systemSetup(names, { broker, snapshots, columns, queries: ports.queries() });
  }
}

/** Of a cold file, not of the bucket. */
function isGone({ code, cause }: LakeError): boolean {
  const isAbsent = isLakeError(cause, 'object-missing') || isErrno(cause, 'ENOENT');
  return code === 'object-missing' || (code === 'cold-unavailable' && isAbsent);
}

function topicNamed(table: NamedTable | undefined, pinned: readonly PinnedTopic[]): PinnedTopic | undefined {
  if (table === undefined || table.schema !== undefined) return undefined;
  return pinned.find((topic) => topic.state.name.toLowerCase() === table.name.toLowerCase());
}

function requireSameCluster(token: SnapshotToken, broker: BrokerState): void {
  if (token.clusterId === broker.clusterId) return;
  throw new LakeError('token-invalid', `the snapshot token is of cluster ${token.clusterId}, not ${broker.clusterId}`, {
    hint: 'Ask the service that gave the token.',
  });
}

function resolveTables(
  broker: BrokerState,
  tables: readonly TableReference[],
): { readonly topics: TopicState[]; readonly systemNames: string[] } {
  const topics = new Map<string, TopicState>();
  const systemNames: string[] = [];
  for (const table of tables) {
    if (table.isSystem) systemNames.push(requireSystemTable(table.name, table.position));
    else {
      const topic = findTopic(broker, table.name, table.position);
      topics.set(topic.name, topic);
    }
  }
  return { topics: [...topics.values()], systemNames };
}

function withTried(broker: BrokerState, view: SavedView): BrokerState {
  return { ...broker, views: [...broker.views.filter(({ name }) => name !== view.name), view] };
}
