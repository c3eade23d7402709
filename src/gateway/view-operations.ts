/** What the routes of saved views say of themselves. */
import { flag, inPath, json, list, object, type Operation, query as inQuery, type Schema, shared, text } from './operation.js';
import { queryProblems, roleProblems } from './route-problems.js';
import { type viewFields, viewBodyBytesMax } from './view-routes.js';

const given = {
  sql: text('one read-only SELECT, without parameters'),
  description: text(),
} satisfies Record<(typeof viewFields)[number], Schema>;
const { sql, description } = given;

export const viewSchemas: Readonly<Record<string, Schema>> = {
  View: object(
    { name: text(), sql, saved: text(undefined, { format: 'date-time' }) },
    {
      description,
      columns: list(shared('Column'), 'as of now'),
      problem: { ...shared('Problem'), description: 'why it cannot be used now' },
    },
  ),
};

const nameInPath = inPath('name', 'name of a view', 'late');

export const viewOperations: readonly Operation[] = [
  {
    id: 'listViews',
    tag: 'views',
    method: 'get',
    path: '/v1/views',
    summary: 'All saved views, each tried on the present columns',
    parameters: [inQuery('check', 'false leaves columns and problems out', flag())],
    answers: { 200: { description: 'the views', content: json(object({ views: list(shared('View')) })) } },
    problems: [...queryProblems],
  },
  {
    id: 'getView',
    tag: 'views',
    method: 'get',
    path: '/v1/views/{name}',
    summary: 'A saved view with its columns, or what is wrong with it',
    parameters: [nameInPath],
    answers: { 200: { description: 'the view', content: json(shared('View')) } },
    problems: ['view-unknown', ...queryProblems],
  },
  {
    id: 'putView',
    tag: 'views',
    method: 'put',
    path: '/v1/views/{name}',
    summary: 'Save a SELECT under a name that SQL takes like a topic',
    description: `It is tried first. The body has at most ${viewBodyBytesMax} bytes.`,
    parameters: [nameInPath],
    body: json(
      { ...object({ sql }, { description }), additionalProperties: false },
      { sql: 'SELECT * FROM flights WHERE delay > 60', description: 'an hour late and more' },
    ),
    answers: {
      200: { description: 'it took the place of another', content: json(shared('View')) },
      201: { description: 'it is new', content: json(shared('View')) },
    },
    problems: ['view-exists', ...queryProblems],
  },
  {
    id: 'dropView',
    tag: 'views',
    method: 'delete',
    path: '/v1/views/{name}',
    summary: 'Drop a saved view; views that name it are broken then',
    parameters: [nameInPath],
    answers: { 204: { description: 'it is gone' } },
    problems: ['view-unknown', ...roleProblems],
  },
];
