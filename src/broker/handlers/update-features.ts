/**
 * UpdateFeatures. Versions served: 0–2.
 * Behaviour: the one feature there is, `group.version`, is finalized at 1 and stays so; asking for 1 succeeds. All features or none; of
 * one that is named several times the last counts, as in Kafka.
 * Ignored: the timeout, and whether it is only to validate: nothing changes either way.
 * Errors: INVALID_UPDATE_VERSION (95: a feature or version that is not there, a downgrade, a way to upgrade that is not there); by feature
 * (v0–1) none, as from Kafka.
 */
import { kafkaErrors, updateFeaturesApi, type UpdateFeaturesRequest } from '../../wire/index.js';
import { finalizedFeatures, supportedFeatures } from './features.js';
import { type Handler, handlerOf } from './handler.js';

type Update = UpdateFeaturesRequest['featureUpdates'][number];

const upgradeTypes = { upgrade: 1, safeDowngrade: 2, unsafeDowngrade: 3 } as const;
const known: ReadonlySet<number> = new Set(Object.values(upgradeTypes));

export function updateFeaturesHandler(): Handler {
  return handlerOf(updateFeaturesApi, ({ featureUpdates }) => {
    const lasts = new Map(featureUpdates.map((update) => [update.feature, update]));
    for (const update of lasts.values()) {
      const problem = problemOf(update);
      if (problem === undefined) continue;
      const errorMessage = `no feature is updated: version ${update.maxVersionLevel} of ${update.feature}: ${problem}`;
      return { errorCode: kafkaErrors.INVALID_UPDATE_VERSION, errorMessage, results: [] };
    }
    const results = featureUpdates.map(({ feature }) => ({ feature, errorCode: kafkaErrors.NONE, errorMessage: 'NONE' }));
    return { errorCode: kafkaErrors.NONE, errorMessage: null, results };
  });
}

function problemOf({ feature, maxVersionLevel, upgradeType }: Update): string | undefined {
  if (!known.has(upgradeType)) return `there is no upgrade type ${upgradeType}`;
  if (maxVersionLevel < 0) return 'a version is not below 0';
  const supported = supportedFeatures.find(({ name }) => name === feature);
  if (supported === undefined) return 'there is no such feature here';
  if (maxVersionLevel > supported.maxVersion || maxVersionLevel < supported.minVersion)
    return `supported are ${supported.minVersion} to ${supported.maxVersion}`;
  const finalized = finalizedFeatures.find(({ name }) => name === feature);
  if (maxVersionLevel >= (finalized?.maxVersionLevel ?? 0)) return undefined;
  return upgradeType === upgradeTypes.upgrade ? 'that is a downgrade, and not said to be one' : 'it cannot be taken back here';
}
