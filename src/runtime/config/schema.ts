import { z } from 'zod';
import { DEFAULT_BREAKER } from '../../core/batch.ts';
import { CLOUD_ACCOUNT_QPS, CLOUD_EGRESS_QPS, DEFAULT_EGRESS_QPS, DEFAULT_LATE_MS } from '../../core/pace.ts';
import { accountSchema, EVEN_WITH_FAULTS, raisedLimitRemedy } from './account-schema.ts';
import { approvalsSchema, httpSchema } from './http-schema.ts';
import { redisSchema } from './redis-schema.ts';
import { checkSchedules, SCHEDULE_NAME, scheduleSchema } from './schedule-schema.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

const HOST_REMEDY = 'give an IPv4 or IPv6 address of this host, 0.0.0.0 or :: for all of them';
const ACCOUNT_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

function whole(least: number, most: number): z.ZodInt {
  const error = `give a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

function oneOf<const Words extends readonly string[]>(words: Words): z.ZodEnum<{ [Word in Words[number]]: Word }> {
  return z.enum(words, { error: `give one of ${words.join(', ')}` });
}

function text(pattern: RegExp, error: string): z.ZodString {
  return z.string({ error }).regex(pattern, { error });
}

const egress = z
  .strictObject(
    {
      id: text(/^[A-Za-z0-9._-]{1,64}$/, 'give 1 to 64 letters, digits, dots, underscores and hyphens')
        .default('default')
        .describe(
          'Name of the source IP address from which the cloud sees this worker. Workers behind one NAT share one; give two names only to two addresses.',
        ),
      qps: whole(1, 10_000)
        .default(DEFAULT_EGRESS_QPS)
        .describe(
          `Calls a second from this address at most, over all workers and accounts. Alibaba Cloud blocks an address at ${CLOUD_EGRESS_QPS}.`,
        ),
      raisedLimit: z
        .boolean({ error: 'give true or false' })
        .default(false)
        .describe(`True if Alibaba Cloud has raised the limit of ${CLOUD_EGRESS_QPS} calls a second of this address.`),
      localAddress: z
        .union([z.ipv4(), z.ipv6()], { error: 'give an IPv4 or IPv6 address of this host' })
        .exactOptional()
        .describe('Address of this host to send calls from, where it has several; without it the system chooses.'),
    },
    { error: 'write id and qps below it' },
  )
  .refine(({ qps, raisedLimit }) => !(qps >= CLOUD_EGRESS_QPS) || raisedLimit, {
    ...EVEN_WITH_FAULTS,
    path: ['qps'],
    error: raisedLimitRemedy(CLOUD_EGRESS_QPS, 'blocks the address'),
  });

const retry = z
  .strictObject(
    {
      attempts: whole(1, 50).default(8).describe('Tries of one item, the first included, before it is a dead letter.'),
      baseMs: whole(1, 3_600_000)
        .default(500)
        .describe('Longest wait before the second try, milliseconds; it doubles with every try.'),
      capMs: whole(1, 3_600_000).default(30_000).describe('Longest wait before any try, milliseconds.'),
    },
    { error: 'write attempts, baseMs and capMs below it' },
  )
  .refine(({ baseMs, capMs }) => !(capMs > 0 && baseMs > capMs), {
    ...EVEN_WITH_FAULTS,
    path: ['baseMs'],
    error: 'give at most what retry.capMs is',
  });

const breaker = z.strictObject(
  {
    maxDeadShare: z
      .number({ error: 'give a share from 0 to 1, like 0.05 for 5%' })
      .min(0, { error: 'give a share from 0 to 1, like 0.05 for 5%' })
      .max(1, { error: 'give a share from 0 to 1, like 0.05 for 5%' })
      .default(DEFAULT_BREAKER.maxDeadShare)
      .describe('Share of dead items, 0 to 1, above which a batch pauses itself.'),
    minSample: whole(1, 1_000_000)
      .default(DEFAULT_BREAKER.minSample)
      .describe('Settled items before that share means anything.'),
  },
  { error: 'write maxDeadShare and minSample below it' },
);

/** The configuration as it stands in the file, the environment merged in. Every `error` is the remedy a person reads. */
export const documentSchema = z
  .strictObject(
    {
      redis: redisSchema.prefault({}).describe('Where the queue and the ledger are.'),
      dataDir: text(/^[^~]/, 'give a path without ~; a relative one starts at this file')
        .exactOptional()
        .describe(
          'Folder of the embedded Redis. Default: $XDG_STATE_HOME/certsweep, or ~/.local/state/certsweep. A relative path starts at this file.',
        ),
      egress: egress.prefault({}).describe('The source address of calls.'),
      notFound: oneOf(['already-gone', 'dead'])
        .default('already-gone')
        .describe('Outcome of a certificate that is not registered at the first, clean try.'),
      retry: retry.prefault({}).describe('Tries of one item after a fault that may pass; throttling uses none.'),
      breaker: breaker.prefault({}).describe('When a batch pauses itself because so many items are dead.'),
      callDeadlineMs: whole(500, 20_000)
        .default(10_000)
        .describe(
          'Milliseconds after which a call is given up, its effect unknown. A worker renews the lock of a job (6 s) while its call is under way.',
        ),
      limiter: z
        .strictObject(
          {
            lateMs: whole(5, 250)
              .default(DEFAULT_LATE_MS)
              .describe(
                'Milliseconds after which a slot is void. Raise it for a distant Redis; every worker needs the same.',
              ),
          },
          { error: 'write lateMs below it' },
        )
        .prefault({})
        .describe('The limiter over all workers.'),
      health: z
        .strictObject(
          {
            port: whole(1, 65_535)
              .exactOptional()
              .describe('Port of /livez, /readyz and /metrics; without it there is none.'),
            host: z
              .union([z.ipv4(), z.ipv6()], { error: HOST_REMEDY })
              .default('127.0.0.1')
              .describe('Address to listen on; 0.0.0.0 is every one. Nobody is asked for a password there.'),
          },
          { error: 'write port and host below it' },
        )
        .prefault({})
        .describe('Health and metrics of a worker over HTTP.'),
      log: z
        .strictObject(
          { level: oneOf(LOG_LEVELS).default('info').describe('Least severe level written.') },
          { error: 'write level below it' },
        )
        .prefault({})
        .describe('The log.'),
      audit: z
        .strictObject(
          {
            requireReason: z
              .boolean({ error: 'give true or false' })
              .default(false)
              .describe('True to require a reason for every change; only a pause needs no reason.'),
            file: text(/^[^~]/, 'give a path without ~; a relative one starts at this file')
              .exactOptional()
              .describe('File to which each process appends its own changes, one JSON object a line.'),
          },
          { error: 'write requireReason and file below it' },
        )
        .prefault({})
        .describe('The record of who changed what, and why. It is always in Redis, and in the log of a worker.'),
      http: httpSchema.prefault({}).describe('The HTTP API and page of `certsweep serve`.'),
      approvals: approvalsSchema
        .prefault({})
        .describe('What needs the approval of somebody else. Every process needs the same.'),
      accounts: z
        .record(z.string(), accountSchema, { error: 'write a name below it for each Alibaba Cloud account' })
        .superRefine(checkAccounts, EVEN_WITH_FAULTS)
        .default({})
        .meta({ propertyNames: { pattern: ACCOUNT_NAME.source } })
        .describe('The Alibaba Cloud accounts by name: lower-case letters, digits and hyphens.'),
      schedules: z
        .record(z.string(), scheduleSchema, { error: 'write a name below it for each schedule' })
        .default({})
        .meta({ propertyNames: { pattern: SCHEDULE_NAME.source } })
        .describe('Runs by a timetable, by name: lower-case letters, digits and hyphens.'),
    },
    { error: 'write keys below each other, like "notFound: dead"' },
  )
  .superRefine(checkSchedules, EVEN_WITH_FAULTS)
  .describe('Configuration of certsweep. Every key is optional; secrets belong in the environment.');

/** What the schema makes of a document: defaults filled in. */
export type ConfigDocument = Readonly<z.infer<typeof documentSchema>>;

/** The JSON Schema of the file, for editors. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  return { title: 'certsweep configuration', ...z.toJSONSchema(documentSchema, { io: 'input' }) };
}

/** Names, that an instance is listed once (which account would otherwise pay for its calls?), and that accounts with one key share its quota. */
function checkAccounts(accounts: Readonly<Record<string, unknown>>, context: z.core.$RefinementCtx): void {
  const owners = new Map<unknown, string>();
  const shares = new Map<string | undefined, number>();
  for (const [name, account] of Object.entries(accounts)) {
    const { key, qps } = shareOf(account);
    const others = shares.get(key) ?? 0;
    shares.set(key, others + qps);
    if (others > 0 && others + qps >= CLOUD_ACCOUNT_QPS) {
      const same = key === undefined ? 'the default credentials' : `the key in ${key}`;
      const message = `stay below ${CLOUD_ACCOUNT_QPS} together with the other accounts that call with ${same}, which have ${others}, or list all their instances under one: for Alibaba Cloud they are one`;
      context.addIssue({ code: 'custom', path: [name, 'limits', 'qps'], message });
    }
    if (!ACCOUNT_NAME.test(name)) {
      const message = 'name the account with 1 to 32 lower-case letters, digits and hyphens, the first not a hyphen';
      context.addIssue({ code: 'custom', path: [name], message });
    }
    for (const [index, id] of instancesIn(account).entries()) {
      const owner = owners.get(id);
      if (owner === undefined) owners.set(id, name);
      else {
        const message = `remove it from one place: account ${owner} lists it already`;
        context.addIssue({ code: 'custom', path: [name, 'instances', index], message });
      }
    }
  }
}

// Where the default chain looks first, so that an account that names it has the same key as one on the chain.
const FIRST_OF_CHAIN = 'ALIBABA_CLOUD_ACCESS_KEY_ID';

/** The variable that holds the account's AccessKey id, undefined for the default chain, and its pace; none where that is a fault of its own. */
function shareOf(account: unknown): { readonly key: string | undefined; readonly qps: number } {
  const { credentials, limits } = (account ?? {}) as {
    readonly credentials?: { readonly accessKeyIdEnv?: string };
    readonly limits?: { readonly qps?: unknown; readonly raisedLimit?: unknown };
  };
  const named = credentials?.accessKeyIdEnv;
  const key = named === FIRST_OF_CHAIN ? undefined : named;
  if (typeof limits?.qps !== 'number') return { key, qps: 0 };
  return { key, qps: limits.qps < CLOUD_ACCOUNT_QPS || limits.raisedLimit === true ? limits.qps : 0 };
}

/** The account may be anything here, since this rule is judged even with faults. */
function instancesIn(account: unknown): readonly unknown[] {
  if (typeof account !== 'object' || account === null || !('instances' in account)) return [];
  return Array.isArray(account.instances) ? account.instances : [];
}
