/** The keys that are set on groups: kept in the metadata store, whether there is a group of that id or not, as in Kafka. */
import { checkGroupOverrides, type GroupConfig, resolveGroupConfig, type ServerConfig } from '../../config/index.js';
import { Mutex } from '../../kernel/index.js';
import type { MetadataStore } from '../metadata-store.js';

export class GroupConfigs {
  readonly #server: ServerConfig;
  readonly #store: MetadataStore;
  readonly #changing = new Mutex();
  readonly #byGroup = new Map<string, { readonly overrides: Readonly<Record<string, string>>; readonly config: GroupConfig }>();
  readonly #byDefault: GroupConfig;

  constructor(server: ServerConfig, store: MetadataStore) {
    this.#server = server;
    this.#store = store;
    this.#byDefault = resolveGroupConfig(server, {});
    for (const { kind, name, overrides } of store.configured) if (kind === 'group') this.#put(name, overrides);
  }

  of(group: string): GroupConfig {
    return this.#byGroup.get(group)?.config ?? this.#byDefault;
  }

  /** Groups that have keys of their own. */
  get names(): Iterable<string> {
    return this.#byGroup.keys();
  }

  overridesOf(group: string): Readonly<Record<string, string>> {
    return this.#byGroup.get(group)?.overrides ?? {};
  }

  /**
   * Changes a group's own keys; durable and obeyed when this resolves. Errors: those of `checkGroupOverrides` and of `overridesOf`, and
   * those of the disk; nothing is changed then.
   */
  alter(
    group: string,
    overridesOf: (current: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
    isValidateOnly: boolean,
  ): Promise<void> {
    return this.#changing.run(async () => {
      const overrides = overridesOf(this.overridesOf(group));
      checkGroupOverrides(this.#server, overrides);
      if (isValidateOnly) return;
      await this.#store.setConfigured({ kind: 'group', name: group, overrides });
      this.#put(group, overrides);
    });
  }

  #put(group: string, overrides: Readonly<Record<string, string>>): void {
    if (Object.keys(overrides).length === 0) this.#byGroup.delete(group);
    else this.#byGroup.set(group, { overrides, config: resolveGroupConfig(this.#server, overrides) });
  }
}
