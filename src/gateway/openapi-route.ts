/** `GET /openapi.json`: what the routes are, for programs. */
import type { Context } from 'hono';
import { json, type Operation } from './operation.js';

export const openapiPath = '/openapi.json';

export function openapiRoute(document: Readonly<Record<string, unknown>>): (c: Context) => Response {
  const body = `${JSON.stringify(document)}\n`;
  return (c) => c.body(body, 200, { 'content-type': 'application/json' });
}

export const openapiOperations: readonly Operation[] = [
  {
    id: 'openapi',
    tag: 'service',
    method: 'get',
    path: openapiPath,
    summary: 'This description, as OpenAPI 3.1',
    answers: { 200: { description: 'the document', content: json({ type: 'object' }) } },
    isPublic: true,
  },
];
