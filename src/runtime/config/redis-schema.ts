import { z } from 'zod';
import { parseNode, parseRedisUrl } from '../redis/redis-url.ts';
import { EVEN_WITH_FAULTS, variableName } from './account-schema.ts';

/** Where user and passwords of Sentinel and cluster are looked for, unless the file names other variables. */
export const REDIS_VARIABLES = {
  usernameEnv: 'CERTSWEEP_REDIS_USERNAME',
  passwordEnv: 'CERTSWEEP_REDIS_PASSWORD',
  sentinelPasswordEnv: 'CERTSWEEP_REDIS_SENTINEL_PASSWORD',
} as const;

const NODE_REMEDY = 'write it as host:port, an IPv6 address in brackets';
const NAME_REMEDY = 'give the name of the primary, as in "sentinel monitor <name>": letters, digits, dots, _ and -';
const CA_REMEDY = 'give the path of a PEM file, without ~; a relative one starts at this file';
const FSYNC_REMEDY = 'give everysec or always';
const VARIABLE_REMEDY =
  'give the name of an environment variable, not the secret itself: capital letters, digits and _, like REDIS_PASSWORD';

const variable = (holds: string, key: keyof typeof REDIS_VARIABLES) =>
  variableName(VARIABLE_REMEDY)
    .exactOptional()
    .describe(
      `Name of the environment variable that holds ${holds}, for sentinel and cluster. Without it ${REDIS_VARIABLES[key]}, where that is set.`,
    );

const nodes = (whose: string) =>
  z
    .array(
      z.string({ error: NODE_REMEDY }).refine((node) => parseNode(node) !== undefined, { error: NODE_REMEDY }),
      {
        error: 'list them as host:port, at least one',
      },
    )
    .min(1, { error: 'list them as host:port, at least one' })
    .describe(`Where ${whose} listen, each host:port; the others are found through one that answers.`);

const tls = z
  .boolean({ error: 'give true or false' })
  .default(false)
  .describe('True to connect to all of them by TLS.');

/** The section `redis`. Every `error` is the remedy a person reads. */
export const redisSchema = z
  .strictObject(
    {
      url: z
        .string({ error: 'give redis://host:port/0, or remove the line for the embedded Redis' })
        .superRefine((url, context) => {
          const parsed = parseRedisUrl(url);
          if (!parsed.ok) context.addIssue({ code: 'custom', message: parsed.remedy });
        })
        .exactOptional()
        .describe(
          'redis://[user[:password]@]host[:port][/database], or rediss:// for TLS. Without it, sentinel or cluster, certsweep starts a private Redis in dataDir. A password is better given as CERTSWEEP_REDIS_URL.',
        ),
      sentinel: z
        .strictObject(
          {
            name: z
              .string({ error: NAME_REMEDY })
              .regex(/^[\w.-]{1,128}$/, { error: NAME_REMEDY })
              .describe('Name of the primary, as the Sentinels know it.'),
            nodes: nodes('Sentinels'),
            tls,
          },
          { error: 'write name and nodes below it' },
        )
        .exactOptional()
        .describe('Instead of url: a Redis with replicas, and Sentinels that say which of them is the primary.'),
      cluster: z
        .strictObject({ nodes: nodes('nodes'), tls }, { error: 'write nodes below it' })
        .exactOptional()
        .describe('Instead of url: a Redis Cluster. All keys are in one slot, so one of its nodes does the work.'),
      tls: z
        .strictObject(
          {
            caFile: z
              .string({ error: CA_REMEDY })
              .regex(/^[^~]/, { error: CA_REMEDY })
              .describe(
                'File with its certificates, PEM. Then only these are trusted. A relative path starts at this file.',
              ),
          },
          { error: 'write caFile below it' },
        )
        .exactOptional()
        .describe('A private certificate authority of Redis. NODE_EXTRA_CA_CERTS names one for every connection.'),
      appendFsync: z
        .enum(['everysec', 'always'], { error: FSYNC_REMEDY })
        .exactOptional()
        .describe(
          'Of the embedded Redis: when what it has acknowledged is on disk. everysec, the default, may lose the last second when the machine dies; always loses nothing, for an fsync before each reply.',
        ),
      usernameEnv: variable('the user', 'usernameEnv'),
      passwordEnv: variable('the password', 'passwordEnv'),
      sentinelPasswordEnv: variable('the password of the Sentinels themselves', 'sentinelPasswordEnv'),
    },
    { error: 'write url, sentinel or cluster below it, or remove it for the embedded Redis' },
  )
  .superRefine(checkPlace, EVEN_WITH_FAULTS);

/** Judged even with faults, so a value may be anything here. */
function checkPlace(redis: Readonly<Record<string, unknown>>, context: z.core.$RefinementCtx): void {
  const refuse = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message });
  const [first, ...others] = ['url', 'sentinel', 'cluster'].filter((key) => redis[key] !== undefined);
  for (const other of others) refuse(other, `remove it, or redis.${first}: Redis can be in one place only`);
  if (first !== undefined && redis['appendFsync'] !== undefined) {
    refuse(
      'appendFsync',
      `remove it: it is for the embedded Redis; where redis.${first} points, set appendfsync in that server's redis.conf`,
    );
  }
  if (redis['tls'] !== undefined && !hasTls(redis)) {
    refuse('tls', 'remove it, or connect by TLS: rediss:// in the url, or tls: true below sentinel or cluster');
  }
  for (const key of Object.keys(REDIS_VARIABLES)) {
    const isFor = key === 'sentinelPasswordEnv' ? ['sentinel'] : ['sentinel', 'cluster'];
    if (redis[key] === undefined || isFor.some((place) => redis[place] !== undefined)) continue;
    refuse(
      key,
      `remove it: it is for redis.${isFor.join(' and redis.')}; a password for redis.url is given in CERTSWEEP_REDIS_URL`,
    );
  }
}

function hasTls({ url, sentinel, cluster }: Readonly<Record<string, unknown>>): boolean {
  const below = (sentinel ?? cluster) as { readonly tls?: unknown } | null | undefined;
  return (typeof url === 'string' && url.startsWith('rediss:')) || below?.tls === true;
}
