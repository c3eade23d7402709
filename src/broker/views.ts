/** `broker.put-view` and `broker.drop-view`: saved views live beside the topics. What their SQL says is the gateway's to check. */
import { type ControlHandlers, type SavedView, viewUnknown } from '../control/index.js';
import type { BrokerCore } from './core.js';

export function viewHandlers(core: BrokerCore): Required<Pick<ControlHandlers, 'broker.put-view' | 'broker.drop-view'>> {
  return {
    'broker.put-view': async ({ name, sql, description }) => {
      const view: SavedView = { name, sql, ...(description === undefined ? {} : { description }), savedMs: core.clock.nowMs() };
      const isNew = !core.store.views.some((known) => known.name === name);
      await core.store.putView(view);
      core.logger.info('view saved', { view: name });
      return { view, isNew };
    },

    'broker.drop-view': async ({ name }) => {
      if (await core.store.removeView(name)) {
        core.logger.info('view dropped', { view: name });
        return {};
      }
      throw viewUnknown(name, core.store.views);
    },
  };
}
