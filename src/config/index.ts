/**
 * config: what can be set, what it means and what it is set to. Server keys, topic keys, their rules and their sources.
 *
 * Owns: the registry of keys (the generated reference is printed from it) and the derived addresses.
 * Invariants: an unknown key is an error; a value knows where it came from; what cannot be honoured is refused.
 * Test: `npx vitest run --config test/vitest.config.ts --project unit test/unit/config`.
 */
export { formatHostPort, type HostPort, parseHostPort, type Places, placesOf } from './addresses.js';
export { checkGroupBounds, checkGroupOverrides, type GroupConfig, type GroupConfigEntry, resolveGroupConfig } from './group-config.js';
export { groupKeyNames, groupKeySpec } from './group-keys.js';
export { checkDynamicKeys, type DynamicLevel, DynamicServerConfig, isDynamicKey } from './dynamic-config.js';
export type { KeySpec, KeyType } from './key.js';
export { type ConfigEntry, type ConfigSource, type ConfigSources, loadServerConfig, type ServerConfig } from './server-config.js';
export { splitSecrets, takeSecrets } from './secrets.js';
export { type ServerKey, serverKeySpecs, type ServerValues } from './server-keys.js';
export { resolveTopicConfig, type TopicConfig, type TopicConfigEntry, type TopicConfigSource } from './topic-config.js';
export { type TopicKey, topicKeyNames, topicKeySpec, type TopicValues } from './topic-keys.js';
