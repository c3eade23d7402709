// The page at /docs: SQL and its answer as a table, and below it every operation of /openapi.json to try.
import { readyToAsk } from './ask.js';
import { buildOperations, coded } from './operations.js';
import { byId, problemBox, problemIn, problemOf, send } from './parts.js';

// Ctrl+Enter in a text sends the form that it stands in.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  if (!(event.target instanceof HTMLTextAreaElement)) return;
  event.preventDefault();
  event.target.form?.requestSubmit();
});

readyToAsk();

const routes = byId('routes', HTMLElement);
try {
  const response = await send('openapi.json');
  if (response.ok) {
    const api = await response.json();
    byId('version', HTMLElement).textContent = api.info.version;
    byId('about', HTMLElement).append(...coded(api.info.description));
    routes.append(...buildOperations(api));
  } else routes.append(problemBox(await problemIn(response)));
} catch (error) {
  routes.append(problemBox(problemOf(error)));
}
