// The two kinds of bucket that a table may lie in, each with a service on it: a directory, and a real S3 server.
import { join } from 'node:path';
import { Lake } from './lake.js';
import { versitygw } from './outside-tools.js';
import { type S3Server, startVersitygw } from './versitygw.js';

export interface BucketPlace {
  readonly name: string;
  readonly skip: boolean;
  readonly start: (set?: Readonly<Record<string, string>>) => Promise<PlacedLake>;
}

export interface PlacedLake {
  readonly lake: Lake;
  /** The folder its objects are files in. */
  readonly bucket: string;
  readonly server?: S3Server;
}

export const bucketPlaces: readonly BucketPlace[] = [
  {
    name: 'in a directory',
    skip: false,
    start: async (set = {}) => {
      const lake = await Lake.start({ set });
      return { lake, bucket: join(lake.service.dataDir, 'bucket') };
    },
  },
  {
    name: `on S3${versitygw.note}`,
    skip: versitygw.path === undefined,
    start: async (set = {}) => {
      const server = await startVersitygw(versitygw.path ?? '', ['lake']);
      const lake = await Lake.start({
        set: { ...set, 'bucket.url': 's3://lake/some/prefix', 'bucket.endpoint': server.endpoint },
        environment: { AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey },
      }).catch(async (error: unknown) => {
        await server.stop();
        throw error;
      });
      return { lake, bucket: join(server.folder, 'lake', 'some', 'prefix'), server };
    },
  },
];
