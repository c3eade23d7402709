/** The OpenAPI 3.1 document of the gateway, put together from what each route says of itself. */
import { catalogOperations, catalogSchemas } from './catalog-operations.js';
import { docsOperations } from './docs-route.js';
import { healthOperations } from './health-route.js';
import { keyOperations } from './key-route.js';
import { openapiOperations } from './openapi-route.js';
import type { Answer, Content, Operation, Schema, Tag } from './operation.js';
import { problemSchema } from './problem.js';
import { queriesOperations } from './queries-route.js';
import { queryOperations, querySchemas } from './query-operations.js';
import { problemAnswers, problemsOf } from './route-problems.js';
import { recordsOperations, recordsSchemas } from './records-operations.js';
import { hotScrubOperations } from './hot-scrub-route.js';
import { scrubOperations } from './scrub-route.js';
import { tierOperations } from './tier-route.js';
import { topicsOperations, topicsSchemas } from './topics-operations.js';
import { viewOperations, viewSchemas } from './view-operations.js';

/** In the order in which they are shown. */
export const operations: readonly Operation[] = [
  ...queryOperations,
  ...queriesOperations,
  ...topicsOperations,
  ...recordsOperations,
  ...keyOperations,
  ...viewOperations,
  ...tierOperations,
  ...scrubOperations,
  ...hotScrubOperations,
  ...catalogOperations,
  ...healthOperations,
  ...openapiOperations,
  ...docsOperations,
];

const tags: Readonly<Record<Tag, string>> = {
  query: 'SQL over both tiers, and what is being asked',
  topics: 'topics and where their records lie',
  records: 'records by place, time and key, and producing without a Kafka client',
  views: 'SELECTs saved under a name',
  tier: 'what the tier daemon does by itself, now',
  catalog: 'a read-only Iceberg REST catalog',
  service: 'health, metrics and this description',
};

function contentDocument({ schema, line, example }: Content): Record<string, unknown> {
  // OpenAPI 3.2 has `itemSchema` for it.
  return { schema, ...(line === undefined ? {} : { 'x-itemSchema': line }), ...(example === undefined ? {} : { example }) };
}

function contentsDocument(contents: Readonly<Record<string, Content>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(contents).map(([type, content]) => [type, contentDocument(content)]));
}

function answerDocument({ description, content, headers }: Answer): Record<string, unknown> {
  return {
    description,
    ...(headers === undefined ? {} : { headers }),
    ...(content === undefined ? {} : { content: contentsDocument(content) }),
  };
}

function operationDocument(operation: Operation): Record<string, unknown> {
  const { id, tag, summary, description, parameters, body, answers, isPublic } = operation;
  // A route of the catalog has its own form of a refusal, and says which.
  const all = tag === 'catalog' ? answers : { ...problemAnswers(problemsOf(operation)), ...answers };
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(isPublic === true ? { security: [] } : {}),
    ...(parameters === undefined
      ? {}
      : { parameters: parameters.map((parameter) => (parameter.in === 'path' ? { ...parameter, required: true } : parameter)) }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentsDocument(body) } }),
    responses: Object.fromEntries(Object.entries(all).map(([status, answer]) => [status, answerDocument(answer)])),
  };
}

const schemas: Readonly<Record<string, Schema>> = {
  Problem: problemSchema,
  ...querySchemas,
  ...recordsSchemas,
  ...topicsSchemas,
  ...viewSchemas,
  ...catalogSchemas,
};

/** `version` is the package's. */
export function openapiDocument(version: string): Readonly<Record<string, unknown>> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of operations) (paths[operation.path] ??= {})[operation.method] = operationDocument(operation);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Thermocline',
      version,
      summary: 'One log over hot segments and cold Parquet: SQL, records and topics over HTTP.',
      description:
        'Errors are problem documents (RFC 9457) with a stable `code` and a `hint`. A call that changes something needs `content-type: application/json` or the header `x-thermocline: 1`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'the gateway that serves this document' }],
    // Without `http.token` nothing need be shown.
    security: [{ token: [] }, {}],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'the value of `http.token`, where it is set' } },
      schemas,
    },
  };
}
