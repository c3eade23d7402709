/**
 * The refusal of a view that is not there: the broker gives it, and the gateway does where it holds the views itself,
 * with the same code and hint.
 */

import { LakeError, nearestName } from '../kernel/index.js';
import type { SavedView } from './messages.js';

export function viewUnknown(name: string, views: readonly SavedView[]): LakeError {
  const near = nearestName(
    name,
    views.map((view) => view.name),
  );
  return new LakeError('view-unknown', `there is no view ${name}`, {
    hint: near === undefined ? 'GET /v1/views lists the views.' : `Did you mean ${near}?`,
    facts: { view: name },
  });
}
