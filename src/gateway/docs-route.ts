/**
 * `GET /docs`: a page to try the API with, and the files it is made of. They lie beside this module, hold no data, and are all that the page may
 * load: no script or style stands in it or comes from elsewhere, and it can ask nobody but this service.
 */
import { readFileSync } from 'node:fs';
import { LakeError } from '../kernel/index.js';
import type { Context } from 'hono';
import { inPath, type Operation, text } from './operation.js';

export const docsPath = '/docs';
const files = ['page.css', 'page.js', 'parts.js', 'ask.js', 'operations.js'] as const;
/** All that the page needs before a token can be typed into it. */
export const docsPaths: readonly string[] = [docsPath, ...files.map((file) => `${docsPath}/${file}`)];

const headers = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

const contentOf = (file: string): string => readFileSync(new URL(`docs-page/${file}`, import.meta.url), 'utf8');

export function docsPageRoute(): (c: Context) => Response {
  const page = contentOf('page.html');
  return (c) => c.body(page, 200, { ...headers, 'content-type': 'text/html; charset=utf-8' });
}

/** Errors: `route-unknown`. */
export function docsFileRoute(): (c: Context) => Response {
  const contents = new Map<string, string>(files.map((file) => [file, contentOf(file)]));
  return (c) => {
    const file = c.req.param('file')!;
    const content = contents.get(file);
    if (content === undefined) throw new LakeError('route-unknown', `the page has no ${file}`, { hint: `The page is ${docsPath}.` });
    const type = file.endsWith('.css') ? 'text/css' : 'text/javascript';
    return c.body(content, 200, { ...headers, 'content-type': `${type}; charset=utf-8` });
  };
}

export const docsOperations: readonly Operation[] = [
  {
    id: 'docs',
    tag: 'service',
    method: 'get',
    path: docsPath,
    summary: 'A page to try all of this',
    answers: { 200: { description: 'the page', content: { 'text/html': { schema: text() } } } },
    isPublic: true,
  },
  {
    id: 'docsFile',
    tag: 'service',
    method: 'get',
    path: `${docsPath}/{file}`,
    summary: 'What the page is made of',
    parameters: [{ ...inPath('file', 'script or style', files[0]), schema: text(undefined, { enum: files }) }],
    answers: {
      200: { description: 'the file', content: { 'text/css': { schema: text() }, 'text/javascript': { schema: text() } } },
    },
    problems: ['route-unknown'],
    isPublic: true,
  },
];
