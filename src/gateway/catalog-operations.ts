/** What the routes of the Iceberg catalog say of themselves; Iceberg's own `rest-catalog-open-api.yaml` says more of their documents. */
import { catalogNamespace } from '../iceberg/index.js';
import { inPath, json, list, mapOf, object, type Operation, orNull, query as inQuery, type Schema, text } from './operation.js';
import { snapshotModes } from './table-catalog.js';
import { catalogRefusals } from './route-problems.js';
import { catalogPath } from './guard.js';

const identifier = object({ namespace: list(text()), name: text() });

export const catalogSchemas: Readonly<Record<string, Schema>> = {
  IcebergError: object({ error: object({ message: text(), type: text(), code: { type: 'integer', minimum: 400, maximum: 599 } }) }),
};

const namespace = { ...inPath('namespace', 'the one there is', catalogNamespace), schema: text(undefined, { enum: [catalogNamespace] }) };
const table = inPath('table', 'name of a topic', 'flights');

type Read = Pick<Operation, 'id' | 'path' | 'summary' | 'parameters'> & { readonly answer: Schema; readonly others: Operation['answers'] };

/** Of routes that read a table. */
const tableRefusals = catalogRefusals(400, 404, 503);

function read({ id, path, summary, parameters, answer, others }: Read): Operation {
  return {
    id,
    tag: 'catalog',
    method: 'get',
    path: `${catalogPath}${path}`,
    summary,
    ...(parameters === undefined ? {} : { parameters }),
    answers: { 200: { description: 'as the catalog has it', content: json(answer) }, ...others },
  };
}

const inNamespace = '/v1/namespaces/{namespace}';

export const catalogOperations: readonly Operation[] = [
  read({
    id: 'icebergConfig',
    path: '/v1/config',
    summary: 'What the catalog serves, and how a reader reaches the bucket',
    answer: object({ defaults: mapOf(text()), overrides: mapOf(text()), endpoints: list(text()) }),
    others: catalogRefusals(),
  }),
  read({
    id: 'icebergNamespaces',
    path: '/v1/namespaces',
    summary: 'The namespaces: one',
    parameters: [inQuery('parent', 'namespaces within this one: none')],
    answer: object({ namespaces: list(list(text())) }),
    others: catalogRefusals(404),
  }),
  read({
    id: 'icebergNamespace',
    path: inNamespace,
    summary: 'The namespace',
    parameters: [namespace],
    answer: object({ namespace: list(text()), properties: mapOf(text()) }),
    others: catalogRefusals(404),
  }),
  read({
    id: 'icebergTables',
    path: `${inNamespace}/tables`,
    summary: 'The tables: every topic that is tiered',
    parameters: [
      namespace,
      inQuery('pageToken', 'empty for the first page; all at once where left out'),
      inQuery('pageSize', 'tables of a page', { type: 'integer', minimum: 1 }),
    ],
    answer: object({ identifiers: list(identifier) }, { 'next-page-token': orNull(text()) }),
    others: tableRefusals,
  }),
  read({
    id: 'icebergTable',
    path: `${inNamespace}/tables/{table}`,
    summary: "A table's metadata, as it lies in the bucket",
    parameters: [
      namespace,
      table,
      inQuery('snapshots', 'all, or those that a branch or tag points to', text(undefined, { enum: snapshotModes })),
      { in: 'header', name: 'If-None-Match', description: 'the `etag` of the copy that is at hand', schema: text() },
    ],
    answer: object({ metadata: { type: 'object' }, config: mapOf(text()) }, { 'metadata-location': text() }),
    others: { ...tableRefusals, 304: { description: 'the copy that is at hand is still the table' } },
  }),
  read({
    id: 'icebergCredentials',
    path: `${inNamespace}/tables/{table}/credentials`,
    summary: 'None: readers have their own',
    parameters: [namespace, table],
    answer: object({ 'storage-credentials': list({ type: 'object' }) }),
    others: catalogRefusals(404, 503),
  }),
  {
    id: 'icebergMetrics',
    tag: 'catalog',
    method: 'post',
    path: `${catalogPath}${inNamespace}/tables/{table}/metrics`,
    summary: "Takes a reader's measurements, and keeps none",
    parameters: [namespace, table],
    body: json({ type: 'object' }, {}),
    answers: { 204: { description: 'taken' }, ...tableRefusals },
  },
  read({
    id: 'icebergViews',
    path: `${inNamespace}/views`,
    summary: 'The views of the catalog: none',
    parameters: [namespace],
    answer: object({ identifiers: list(identifier) }),
    others: catalogRefusals(404),
  }),
  {
    id: 'icebergView',
    tag: 'catalog',
    method: 'get',
    path: `${catalogPath}${inNamespace}/views/{view}`,
    summary: 'No view is there: topics are tables',
    parameters: [namespace, inPath('view', 'any name', 'late')],
    answers: catalogRefusals(404),
  },
];
