/** The AWS SDK's client for a bucket, set up in one place: region, addressing, checksums, connections. Loading the SDK takes its time. */
import type * as Sdk from '@aws-sdk/client-s3';
import { requestsMax } from './s3-requests.js';

export interface S3ClientOptions {
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
}

const connectMs = 5_000;
/** Region where nobody names one: what servers other than Amazon's expect. */
const defaultRegion = 'us-east-1';

/** Where a bucket is reached, as far as options and environment say. */
export interface S3Address {
  readonly endpoint: string | undefined;
  /** `undefined` leaves it to the SDK's own chain. */
  readonly region: string | undefined;
  readonly isPathStyle: boolean;
}

/** Region: given, else `AWS_REGION`, else with an endpoint `us-east-1`. The bucket stands in the path wherever an endpoint is named. */
export function s3Address(options: S3ClientOptions): S3Address {
  const environmentRegion = process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  return {
    endpoint: options.endpoint,
    region: options.region ?? environmentRegion ?? (options.endpoint === undefined ? undefined : defaultRegion),
    isPathStyle: options.forcePathStyle ?? options.endpoint !== undefined,
  };
}

/** Credentials, and a region that nothing here names: by the SDK's own chain. */
export async function openS3Client(options: S3ClientOptions): Promise<{ readonly sdk: typeof Sdk; readonly client: Sdk.S3Client }> {
  // The SDK's version is pinned to one that runs on this Node; its notice about later ones is noise on every start.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await import('@aws-sdk/client-s3');
  const { endpoint, region, isPathStyle } = s3Address(options);
  const client = new sdk.S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: isPathStyle,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_SUPPORTED',
    requestHandler: { connectionTimeout: connectMs, httpAgent: { maxSockets: requestsMax }, httpsAgent: { maxSockets: requestsMax } },
  });
  return { sdk, client };
}
