/**
 * What a store was asked and how it went: requests by operation and outcome, bytes both ways, retries. On S3 a request is one
 * HTTP request, so that the numbers can be held against a bill; on a directory and in memory it is one call of the port.
 */
import type { MetricSample } from '../telemetry/index.js';

export type RequestOperation =
  | 'put'
  | 'get'
  | 'head'
  | 'list'
  | 'delete'
  | 'create-upload'
  | 'put-part'
  | 'complete-upload'
  | 'abort-upload'
  | 'list-uploads';

/**
 * `exists`: a conditional write lost. `conflict`: the server wants it tried again (409). `timeout`: no answer, or too slow.
 * `failed`: the connection broke, the server failed, or what came was not what was sent.
 */
export type RequestOutcome = 'ok' | 'missing' | 'exists' | 'conflict' | 'throttled' | 'timeout' | 'refused' | 'failed';

interface Tally {
  count: number;
  ms: number;
}

/** Counters of one store; they only grow. */
export class RequestCounters {
  /** At most operations × outcomes = 80 entries. */
  readonly #tallies = new Map<`${RequestOperation} ${RequestOutcome}`, Tally>();
  running = 0;
  sentBytes = 0;
  receivedBytes = 0;
  retries = 0;
  /** Retries that were not made because the store's retry budget was used up. */
  retriesRefused = 0;

  count(operation: RequestOperation, outcome: RequestOutcome, ms: number): void {
    const key = `${operation} ${outcome}` as const;
    const tally = this.#tallies.get(key) ?? { count: 0, ms: 0 };
    tally.count++;
    tally.ms += ms;
    this.#tallies.set(key, tally);
  }

  /** Requests ended so far, of one operation or all, with one outcome or any. */
  requests(operation?: RequestOperation, outcome?: RequestOutcome): number {
    let sum = 0;
    for (const { operation: of, outcome: end, count } of this.#entries()) {
      if ((operation === undefined || of === operation) && (outcome === undefined || end === outcome)) sum += count;
    }
    return sum;
  }

  /** As metrics of the role that has opened the store. */
  samples(role: string): MetricSample[] {
    const requests = this.#entries().flatMap(({ operation, outcome, count, ms }): MetricSample[] => {
      const labels = { role, operation, outcome };
      return [
        { name: 'object_requests_total', value: count, labels },
        { name: 'object_request_ms_total', value: ms, labels },
      ];
    });
    const labels = { role };
    return [
      ...requests,
      { name: 'object_requests_running', value: this.running, labels },
      { name: 'object_sent_bytes_total', value: this.sentBytes, labels },
      { name: 'object_received_bytes_total', value: this.receivedBytes, labels },
      { name: 'object_retries_total', value: this.retries, labels },
      { name: 'object_retries_refused_total', value: this.retriesRefused, labels },
    ];
  }

  #entries(): (Tally & { readonly operation: RequestOperation; readonly outcome: RequestOutcome })[] {
    return [...this.#tallies].map(([key, tally]) => {
      const [operation, outcome] = key.split(' ') as [RequestOperation, RequestOutcome];
      return { operation, outcome, ...tally };
    });
  }
}
