/** Liveness, readiness with reasons, and the metrics of all roles on one page. */
import type { ControlPeer } from '../control/index.js';
import { messageWithHint } from '../kernel/index.js';
import { type MetricSample, processSamples, renderMetrics } from '../telemetry/index.js';
import type { Context } from 'hono';
import { flag, json, list, object, type Operation, text } from './operation.js';

type Control = Pick<ControlPeer, 'call'>;
const probeTimeoutMs = 2000;

/** The process answers: that is all liveness says. */
export function livezRoute(): (c: Context) => Response {
  return (c) => c.text('ok\n');
}

/** 200 where broker and tier daemon answer and no partition is offline; else 503 with what is missing. */
export function readyzRoute(control: Control): (c: Context) => Promise<Response> {
  return async (c) => {
    const reasons: string[] = [];
    try {
      const state = await control.call('broker.describe', {}, { timeoutMs: probeTimeoutMs });
      for (const topic of state.topics) {
        for (const { partition, offline, offlineHint } of topic.partitions) {
          if (offline === undefined) continue;
          reasons.push(messageWithHint({ message: `${topic.name}-${partition} is offline: ${offline}`, hint: offlineHint }));
        }
      }
    } catch (error) {
      reasons.push(`broker: ${error instanceof Error ? error.message : String(error)}`);
    }
    try {
      await control.call('tier.status', {}, { timeoutMs: probeTimeoutMs });
    } catch (error) {
      reasons.push(`tier: ${error instanceof Error ? error.message : String(error)}`);
    }
    return c.json({ ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503);
  };
}

/** A role that does not answer is shown by its missing `thermocline_up`, never by a failed page. */
export function metricsRoute(control: Control, own: () => readonly MetricSample[]): () => Promise<Response> {
  return async () => {
    const samples: MetricSample[] = [...processSamples('gateway'), ...own()];
    const others = await Promise.allSettled([
      control.call('broker.metrics', {}, { timeoutMs: probeTimeoutMs }),
      control.call('tier.metrics', {}, { timeoutMs: probeTimeoutMs }),
    ]);
    for (const other of others) if (other.status === 'fulfilled') samples.push(...(other.value.samples as readonly MetricSample[]));
    return new Response(await renderMetrics(samples), { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } });
  };
}

const readiness = json(object({ ready: flag(), reasons: list(text()) }));

export const healthOperations: readonly Operation[] = [
  {
    id: 'livez',
    tag: 'service',
    method: 'get',
    path: '/livez',
    summary: 'Whether the process answers',
    answers: { 200: { description: 'it does', content: { 'text/plain': { schema: text() } } } },
    isPublic: true,
  },
  {
    id: 'readyz',
    tag: 'service',
    method: 'get',
    path: '/readyz',
    summary: 'Whether all roles answer and every partition is online',
    answers: { 200: { description: 'they do', content: readiness }, 503: { description: 'not, with the reasons', content: readiness } },
    isPublic: true,
  },
  {
    id: 'metrics',
    tag: 'service',
    method: 'get',
    path: '/metrics',
    summary: 'Numbers of all roles, for Prometheus',
    answers: { 200: { description: 'in the text format', content: { 'text/plain': { schema: text() } } } },
  },
];
