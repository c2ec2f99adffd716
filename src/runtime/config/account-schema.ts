import { z } from 'zod';
import { describeFault, parseCertificate } from '../../core/certificate.ts';
import { CLOUD_ACCOUNT_QPS, DEFAULT_ACCOUNT_QPS } from '../../core/pace.ts';
import { checkDirectInstances, directSchema } from './direct-schema.ts';
import { isLoopback } from '../loopback.ts';
import { nearest } from './faults.ts';

/** Where ApsaraMQ for MQTT has an endpoint (the product's endpoint list). */
const REGIONS: readonly string[] = [
  'cn-qingdao',
  'cn-beijing',
  'cn-zhangjiakou',
  'cn-huhehaote',
  'cn-wulanchabu',
  'cn-hangzhou',
  'cn-shanghai',
  'cn-shenzhen',
  'cn-guangzhou',
  'cn-chengdu',
  'cn-hongkong',
  'ap-southeast-1',
  'ap-southeast-3',
  'ap-southeast-5',
  'ap-southeast-6',
  'ap-northeast-1',
  'eu-central-1',
  'us-west-1',
  'cn-hangzhou-finance',
  'cn-shanghai-finance-1',
  'cn-shenzhen-finance-1',
];

/**
 * A rule over several keys of one mapping. It is judged even where one of the keys is at fault by itself, so that a person sees every fault at
 * once; zod would otherwise hold it back until all else is well.
 */
export const EVEN_WITH_FAULTS = {
  when: ({ value }: { value: unknown }): boolean => typeof value === 'object' && value !== null,
};

/** The endpoint of a region for callers on the internet. */
export function endpointOf(region: string): string {
  return `https://onsmqtt.${region}.aliyuncs.com`;
}

/** Says why a pace is refused that reaches what the cloud allows. */
export function raisedLimitRemedy(limit: number, consequence: string): string {
  return `stay below ${limit}, at which Alibaba Cloud ${consequence}; where it has raised the limit for you, put raisedLimit: true beside it in the file`;
}

const REGION_REMEDY = 'give the region of the instances, like cn-hangzhou';
const ENDPOINT_REMEDY =
  'give https://<host>[:<port>] and nothing after it; http:// is for 127.0.0.1, localhost and ::1 only';
const UNTRUSTED_REMEDY =
  'the server there gets signed calls, and is believed: give a host of aliyuncs.com, or put endpointIsTrusted: true beside it';
const VARIABLE_REMEDY =
  'give the name of an environment variable, not the secret itself: capital letters, digits and _, like ALIBABA_CLOUD_ACCESS_KEY_ID';

/** The name of an environment variable; a secret in its place is refused, whatever it looks like. */
export function variableName(remedy: string): z.ZodString {
  return z.string({ error: remedy }).regex(/^[A-Z_][A-Z0-9_]{0,127}$/, { error: remedy });
}

const instance = z
  .string({ error: 'write the instance id as text, in quotes where it is all digits' })
  .refine((id) => faultOfInstance(id) === undefined, {
    error: ({ input }) => `${faultOfInstance(String(input)) ?? ''}: copy the instance id from the console`,
  })
  .meta({ minLength: 1, maxLength: 128 });

const variable = variableName(VARIABLE_REMEDY);

const limits = z
  .strictObject(
    {
      qps: z
        .int({ error: 'give a whole number of calls a second from 1 to 10000' })
        .min(1, { error: 'give at least 1 call a second' })
        .max(10_000, { error: 'give at most 10000 calls a second' })
        .default(DEFAULT_ACCOUNT_QPS)
        .describe(
          `Calls a second to this account at most, over all workers and egress addresses. Alibaba Cloud throttles at ${CLOUD_ACCOUNT_QPS}.`,
        ),
      raisedLimit: z
        .boolean({ error: 'give true or false' })
        .default(false)
        .describe(`True if Alibaba Cloud has raised the account's limit of ${CLOUD_ACCOUNT_QPS} calls a second.`),
    },
    { error: 'write qps below it' },
  )
  .refine(({ qps, raisedLimit }) => !(qps >= CLOUD_ACCOUNT_QPS) || raisedLimit, {
    ...EVEN_WITH_FAULTS,
    path: ['qps'],
    error: raisedLimitRemedy(CLOUD_ACCOUNT_QPS, 'throttles the account'),
  });

const credentials = z.strictObject(
  {
    accessKeyIdEnv: variable.describe('Name of the environment variable that holds the AccessKey id.'),
    accessKeySecretEnv: variable.describe('Name of the environment variable that holds the AccessKey secret.'),
    securityTokenEnv: variable
      .exactOptional()
      .describe('Name of the environment variable that holds the security token of a temporary (STS) key.'),
  },
  { error: 'write accessKeyIdEnv and accessKeySecretEnv below it, with the names of environment variables' },
);

export const accountSchema = z
  .strictObject(
    {
      region: z
        .string({ error: REGION_REMEDY })
        .regex(/^[a-z0-9-]{1,64}$/, { error: REGION_REMEDY })
        .exactOptional()
        .meta({ examples: [...REGIONS] })
        .describe('Region of the instances; the endpoint follows from it.'),
      endpoint: z
        .string({ error: ENDPOINT_REMEDY })
        .refine(isEndpoint, { error: ENDPOINT_REMEDY })
        .exactOptional()
        .describe('Endpoint to call instead of the region’s public one: a VPC endpoint, a new region, or a sandbox.'),
      endpointIsTrusted: z
        .boolean({ error: 'give true or false' })
        .exactOptional()
        .describe('True to send signed calls to an endpoint outside of aliyuncs.com and loopback.'),
      instances: z
        .array(instance, { error: 'list the instance ids of this account, at least one' })
        .min(1, { error: 'list the instance ids of this account, at least one' })
        .describe('Ids of the MQTT instances that belong to this account, each in one account only.'),
      limits: limits.prefault({}).describe('Pace of calls to this account.'),
      direct: directSchema(instance)
        .prefault({})
        .describe('What is accepted without a manifest: jobs of other programs, and single certificates.'),
      credentials: credentials
        .exactOptional()
        .describe(
          'Which environment variables hold the AccessKey. Without it the default chain of Alibaba Cloud is used: ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET, an OIDC role, the CLI profile, the ECS role.',
        ),
    },
    { error: 'write region and instances below it' },
  )
  .superRefine(({ endpoint, endpointIsTrusted }, context) => {
    if (typeof endpoint !== 'string' || !isEndpoint(endpoint)) return;
    if (endpointIsTrusted === true || isOfCloud(endpoint) || isLoopback(new URL(endpoint).hostname)) return;
    context.addIssue({ code: 'custom', path: ['endpoint'], message: UNTRUSTED_REMEDY });
  }, EVEN_WITH_FAULTS)
  .superRefine(checkDirectInstances, EVEN_WITH_FAULTS)
  .superRefine(({ region, endpoint }, context) => {
    if (endpoint !== undefined || typeof region === 'object') return;
    if (region === undefined) {
      context.addIssue({ code: 'custom', path: ['region'], message: `${REGION_REMEDY}, or an endpoint` });
    } else if (/^[a-z0-9-]{1,64}$/.test(region) && !REGIONS.includes(region)) {
      const meant = nearest(region, REGIONS);
      const hint = meant === undefined ? `known are ${REGIONS.join(', ')}.` : `did you mean ${meant}?`;
      context.addIssue({
        code: 'custom',
        path: ['region'],
        message: `unknown region, ${hint} For another, give its endpoint`,
      });
    }
  }, EVEN_WITH_FAULTS);

/** An instance id is a field of every certificate, so what no manifest line could name is refused here as well. */
function faultOfInstance(id: string): string | undefined {
  const parsed = parseCertificate({ instanceId: id, caSn: '0', deviceSn: '0' });
  return parsed.ok ? undefined : describeFault(parsed.fault);
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, pathname, search, hash } = new URL(text);
  if (hostname === '' || `${username}${password}${search}${hash}` !== '' || pathname !== '/') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

function isOfCloud(endpoint: string): boolean {
  return new URL(endpoint).hostname.endsWith('.aliyuncs.com');
}
