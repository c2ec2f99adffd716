import { z } from '@hono/zod-openapi';
import { ownerIn } from '../../app/accounts.ts';
import { auditPage } from '../../app/audit.ts';
import { findDevice } from '../../app/find.ts';
import { listSchedules } from '../../app/schedules.ts';
import { haltsNow } from '../../app/status.ts';
import { ACTIONS } from '../../core/action.ts';
import { OUTCOMES } from '../../core/batch.ts';
import { addRoute, type Api, type Surroundings } from '../api.ts';
import { forbidden } from '../rights.ts';
import { batchId, halt, pageOf, pageQuery, retire } from '../schemas.ts';
import { notACursor } from './batch-reads.ts';

const foundDevice = z
  .looseObject({
    batch: z.string(),
    n: z.int(),
    action: z.enum(ACTIONS),
    outcome: z.enum(OUTCOMES).nullable().describe('Null while it is pending, as are the three that follow.'),
    code: z.string().nullable(),
    requestId: z.string().nullable(),
    settledAt: z.string().nullable(),
    requestedBy: z.string().nullable(),
    reason: z.string().nullable(),
    certificate: z.object({ instanceId: z.string(), caSn: z.string(), deviceSn: z.string() }),
  })
  .openapi('FoundDevice');

const search = z.looseObject({
  found: z.array(foundDevice),
  batches: z.int().describe('How many were searched.'),
  notWhole: z
    .array(z.object({ batch: z.string(), lost: z.enum(['items', 'outcomes']) }))
    .describe('Batches of which Redis has lost something that may have been the device.'),
  forgotten: z.int().describe('Batches that were forgotten, and what they held with them.'),
});

const auditEntry = z
  .looseObject({
    seq: z.int(),
    at: z.int().describe('Unix milliseconds.'),
    event: z.string(),
    batch: z.string().nullable(),
    action: z.enum(ACTIONS).optional(),
    retire: retire.optional(),
    ca: z.object({ instanceId: z.string(), caSn: z.string() }).optional(),
    schedule: z.string().optional(),
    user: z.string().describe('Of the operating system, as are host and pid of the process that did it.'),
    host: z.string(),
    pid: z.int(),
    requestedBy: z.string().nullable(),
    reason: z.string().nullable(),
    counts: z.record(z.string(), z.number()).nullable(),
    manifestSha256: z.string().nullable(),
    previous: z.string().describe('The hash of the entry before.'),
    hash: z.string(),
  })
  .openapi('AuditEntry');

const schedule = z
  .object({
    schedule: z.string(),
    cron: z.string(),
    timezone: z.string(),
    next: z.string().describe('ISO 8601, UTC.'),
    state: z.enum(['active', 'paused']),
    reason: z.string().nullable().describe('Why it is paused.'),
  })
  .openapi('Schedule');

/** What can be looked at beside batches. */
export function addRecordReads(api: Api, { store }: Surroundings): void {
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/halts',
      right: 'read',
      summary: 'What is halted, and why',
      answers: { 200: { description: 'All halts.', schema: z.object({ halts: z.array(halt) }) } },
    },
    async (asked) => {
      const { accounts } = asked.get('who');
      const all = await haltsNow(store);
      const halts = all.filter((one) => accounts === undefined || accounts.includes(one.account));
      return { status: 200, body: { halts } };
    },
  );
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/schedules',
      right: 'read',
      summary: 'The schedules of the configuration, and when they run next',
      answers: {
        200: {
          description: 'Those whose instances are all of the accounts of the token.',
          schema: z.object({ schedules: z.array(schedule) }),
        },
      },
    },
    async (asked) => {
      const { accounts } = asked.get('who');
      const ownerOf = ownerIn(store.config);
      const seen = new Set(
        store.config.schedules
          .filter(
            ({ instances }) => accounts === undefined || instances.every((id) => accounts.includes(ownerOf(id) ?? '')),
          )
          .map(({ name }) => name),
      );
      const all = await listSchedules(store);
      return { status: 200, body: { schedules: all.filter((one) => seen.has(one.schedule)) } };
    },
  );
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/certificates',
      right: 'read',
      summary: 'What happened to a device, in all batches',
      query: z.strictObject({ deviceSn: z.string().min(1, { error: 'give a serial number' }).max(128) }),
      answers: { 200: { description: 'Each batch that has or had it, the newest first.', schema: search } },
    },
    async (asked, { query: { deviceSn } }) => {
      const { accounts } = asked.get('who');
      const { found, ...more } = await findDevice(store, deviceSn);
      const ownerOf = ownerIn(store.config);
      const shown = found.filter(
        ({ certificate }) => accounts === undefined || accounts.includes(ownerOf(certificate.instanceId) ?? ''),
      );
      return { status: 200, body: { found: shown, ...more } };
    },
  );
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/audit',
      right: 'read',
      summary: 'Who changed what, when and why, the oldest first',
      query: z.strictObject({
        ...pageQuery(1_000, 100),
        batch: batchId.optional(),
        since: z.iso.datetime({ offset: true, error: 'give a time like 2026-01-31T09:00:00Z' }).optional(),
      }),
      answers: { 200: { description: 'A page of the record.', schema: pageOf('entries', auditEntry) } },
    },
    async (asked, { query: { limit, cursor, batch, since } }) => {
      const { accounts, name } = asked.get('who');
      if (accounts !== undefined)
        throw forbidden(
          `Token ${name} is for some accounts, and the record is of all.`,
          'Use a token without accounts.',
        );
      if (cursor !== undefined && !/^\d{1,15}-\d{1,15}$/.test(cursor)) throw notACursor(cursor);
      const filter = {
        ...(batch !== undefined && { batch }),
        ...(since !== undefined && { since: Date.parse(since) }),
      };
      return { status: 200, body: await auditPage(store, filter, limit, cursor) };
    },
  );
}
