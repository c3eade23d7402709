/** The running service, as its gateway tells: whether it is there and ready, and where each log stands. */
import { isLakeError } from '../../kernel/index.js';
import { callGateway, getJson } from '../client-options.js';
import { fail, failed, type Finding, ok, warn } from './finding.js';

const askMs = 15_000;

/** A partition as the broker has it. */
export interface BrokerPartition {
  readonly partition: number;
  readonly boundary: number;
  readonly high_watermark: number;
}

export interface BrokerTopic {
  readonly topic: string;
  readonly id: string;
  readonly partitions: readonly BrokerPartition[];
}

export interface ServiceView {
  readonly server: string;
  /** Topic id → name. */
  readonly topics: ReadonlyMap<string, string>;
}

/** The service and what is found of it; no view where it does not run. */
export async function serviceChecks(
  server: string,
): Promise<{ readonly findings: readonly Finding[]; readonly view: ServiceView | undefined }> {
  try {
    await callGateway(server, '/livez', { signal: AbortSignal.timeout(askMs) });
  } catch (error) {
    if (!isLakeError(error, 'peer-gone')) {
      const what = error instanceof Error ? error.message : String(error);
      return { findings: [fail('service', `${server}: ${what}`, 'Look at the log of the gateway.')], view: undefined };
    }
    const hint = 'Start it, or name its gateway with --server; with --offline nobody asks.';
    return { findings: [warn('service', `nothing answers at ${server}: boundaries are not compared with the log`, hint)], view: undefined };
  }
  const { reasons } = await readiness(server);
  const findings = [
    reasons.length === 0
      ? ok('service', `${server} is ready`)
      : fail('service', `${server} is not ready: ${reasons.join('; ')}`, 'Look at the log of the role that is named.'),
  ];
  try {
    const { topics } = await getJson<{ topics: { name: string; id: string }[] }>(server, '/v1/topics', {
      signal: AbortSignal.timeout(askMs),
    });
    return { findings, view: { server, topics: new Map(topics.map(({ name, id }) => [id, name])) } };
  } catch (error) {
    if (isLakeError(error, 'unauthenticated')) {
      const refusal = failed('service', error);
      return { findings: [...findings, refusal], view: undefined };
    }
    // That the broker does not answer stands among the reasons above.
    return { findings, view: undefined };
  }
}

export function brokerTopic(view: ServiceView, name: string): Promise<BrokerTopic> {
  return getJson<BrokerTopic>(view.server, `/v1/topics/${encodeURIComponent(name)}/storage`, { signal: AbortSignal.timeout(askMs) });
}

/** `/readyz` answers 503 with the same document, which is no problem document. */
async function readiness(server: string): Promise<{ readonly reasons: readonly string[] }> {
  try {
    const response = await fetch(new URL('/readyz', server), { signal: AbortSignal.timeout(askMs) });
    return (await response.json()) as { reasons: string[] };
  } catch (error) {
    return { reasons: [`/readyz: ${error instanceof Error ? error.message : String(error)}`] };
  }
}
