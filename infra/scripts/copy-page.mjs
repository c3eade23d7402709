// Puts what the page at /docs is made of beside the compiled gateway, which serves it from there.
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = (tree) => fileURLToPath(new URL(`../../${tree}/gateway/docs-page`, import.meta.url));
cpSync(folder('src'), folder('dist'), { recursive: true, filter: (path) => !path.endsWith('tsconfig.json') });
