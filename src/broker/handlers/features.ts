/** Features of the cluster (KIP-584): `group.version` 1 is the new group protocol (KIP-848), which is always on. */
export const supportedFeatures = [{ name: 'group.version', minVersion: 0, maxVersion: 1 }] as const;
export const finalizedFeatures = [{ name: 'group.version', minVersionLevel: 1, maxVersionLevel: 1 }] as const;
