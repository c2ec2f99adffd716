import { z } from '@hono/zod-openapi';
import { unattended } from '../../app/accounts.ts';
import { auditPage } from '../../app/audit.ts';
import { haltsNow } from '../../app/status.ts';
import { addRoute, type Api, type Surroundings } from '../api.ts';
import { forbidden } from '../rights.ts';
import { batchId, halt, pageOf, pageQuery } from '../schemas.ts';
import { notACursor } from './batch-reads.ts';

const account = z
  .object({
    name: z.string(),
    endpoint: z.string(),
    instances: z.array(z.string()),
    qps: z.number().describe('Calls a second at most, over all workers.'),
    isAttended: z.boolean().describe('Whether a worker works for it.'),
  })
  .openapi('Account');

const auditEntry = z
  .looseObject({
    seq: z.int(),
    at: z.int().describe('Unix milliseconds.'),
    event: z.string(),
    batch: z.string().nullable(),
    requestedBy: z.string().nullable(),
    reason: z.string().nullable(),
    hash: z.string(),
  })
  .openapi('AuditEntry');

/** What can be looked at beside batches. */
export function addLooks(api: Api, { store }: Surroundings): void {
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
      path: '/v1/accounts',
      right: 'read',
      summary: 'The accounts, and whether somebody works for them',
      answers: { 200: { description: 'All accounts.', schema: z.object({ accounts: z.array(account) }) } },
    },
    async (asked) => {
      const { accounts: only } = asked.get('who');
      const shown = store.config.accounts.filter(({ name }) => only === undefined || only.includes(name));
      const idle = await unattended(store, new Set(shown.map(({ name }) => name)));
      const accounts = shown.map(({ name, endpoint, instances, qps }) => ({
        name,
        endpoint,
        instances,
        qps,
        isAttended: !idle.includes(name),
      }));
      return { status: 200, body: { accounts } };
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
