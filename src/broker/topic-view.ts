/** The topics as consumer groups see them: by name, with a number that says when to look again. */
import type { TopicView } from './groups/consumer/subscriptions.js';
import type { Topics } from './topics.js';

export function topicView(topics: Topics): TopicView {
  let revision = 0;
  topics.onChange(() => {
    revision++;
  });
  return {
    get revision() {
      return revision;
    },
    topic(name) {
      const topic = topics.byName(name);
      return topic === undefined ? undefined : { id: topic.record.id, partitions: topic.partitions.size };
    },
    nameOf: (id) => topics.byId(id)?.record.name,
    *names() {
      for (const topic of topics.all) yield topic.record.name;
    },
  };
}
