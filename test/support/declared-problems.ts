// What the OpenAPI document says of problems: whether a route declares the status and the code that it has answered with.
import { openapiDocument } from '../../src/gateway/index.js';

interface DeclaredAnswer {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<
    Record<string, { readonly schema: { readonly allOf?: readonly [unknown, { properties: { code: { enum: string[] } } }] } }>
  >;
}

export interface DeclaredOperation {
  readonly responses: Readonly<Record<string, DeclaredAnswer>>;
}

const { paths } = openapiDocument('0.0.0') as { readonly paths: Readonly<Record<string, Readonly<Record<string, DeclaredOperation>>>> };
const templates = Object.entries(paths).map(([template, byMethod]) => {
  const pattern = template.replaceAll(/[.]/g, String.raw`\.`).replaceAll(/\{\w+\}/g, '[^/]+');
  return { pattern: new RegExp(`^${pattern}$`), byMethod, isOpen: template.includes('{') };
});

/** The operation of a path as it is sent; `undefined` where there is none. HEAD is GET's. */
export function operationOf(method: string, path: string): DeclaredOperation | undefined {
  const [pathname = ''] = path.split('?');
  const found = templates.filter(({ pattern }) => pattern.test(pathname));
  const { byMethod } = found.find(({ isOpen }) => !isOpen) ?? found[0] ?? {};
  return byMethod?.[(method === 'HEAD' ? 'GET' : method).toLowerCase()];
}

/** The codes that an operation declares, by status. */
export function codesOf({ responses }: DeclaredOperation): ReadonlyMap<number, readonly string[]> {
  return new Map(
    Object.entries(responses).flatMap(([status, { content }]): [number, readonly string[]][] => {
      const codes = content?.['application/problem+json']?.schema.allOf?.[1].properties.code.enum;
      return codes === undefined ? [] : [[Number(status), codes]];
    }),
  );
}

/**
 * Why a problem is not as the document has it; `undefined` where it is, and where there is no such route. Without `headers` it came late, in a
 * body.
 */
export function undeclared(
  method: string,
  path: string,
  { status, code, headers }: { readonly status: number; readonly code?: string | undefined; readonly headers?: Headers | undefined },
): string | undefined {
  const operation = operationOf(method, path);
  if (operation === undefined) return undefined;
  const declared = operation.responses[status];
  const what = `${method} ${path} answered ${status}${code === undefined ? '' : ` ${code}`}`;
  if (declared === undefined) return `${what}: the status is not declared`;
  const codes = codesOf(operation).get(status);
  if (codes !== undefined && (code === undefined || !codes.includes(code))) return `${what}: declared are ${codes.join(', ')}`;
  const missing = Object.keys(headers === undefined ? {} : (declared.headers ?? {})).find((name) => headers?.has(name) !== true);
  return missing === undefined ? undefined : `${what} without ${missing}`;
}
