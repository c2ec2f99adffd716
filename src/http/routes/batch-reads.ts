import { z } from '@hono/zod-openapi';
import { accountsOfBatch } from '../../app/accounts.ts';
import { batchPage } from '../../app/batch-list.ts';
import { forgottenBatch } from '../../app/control.ts';
import { deadLetterPage } from '../../app/dead-letters.ts';
import { reportOf } from '../../app/report.ts';
import { readBatch } from '../../app/status.ts';
import type { Store } from '../../app/store.ts';
import { OUTCOMES } from '../../core/batch.ts';
import { addRoute, type Api, type Asked, type Surroundings } from '../api.ts';
import { badRequest, noSuchBatch, Problem } from '../problem.ts';
import { requireWithin } from '../rights.ts';
import { batchDetail, batchSnapshot, batchParams, deadLetter, pageOf, pageQuery } from '../schemas.ts';
import { sendStream } from '../stream.ts';

const REPORT_TYPES = { csv: 'text/csv; charset=utf-8', ndjson: 'application/x-ndjson' } as const;

/** What can be looked at of batches. */
export function addBatchReads(api: Api, { store }: Surroundings): void {
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/batches',
      right: 'read',
      summary: 'All batches, the newest first',
      query: z.strictObject(pageQuery(500, 100)),
      answers: { 200: { description: 'A page of them.', schema: pageOf('batches', batchDetail) } },
    },
    async (asked, { query: { limit, cursor } }) => {
      const { accounts } = asked.get('who');
      const page = await batchPage(store, {
        limit,
        ...(cursor !== undefined && { cursor }),
        ...(accounts !== undefined && { accounts }),
      });
      if (page === undefined) throw notACursor(cursor);
      return { status: 200, body: page };
    },
  );
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/batches/{id}',
      right: 'read',
      summary: 'A batch, and what stands in its way',
      params: batchParams,
      answers: { 200: { description: 'The batch.', schema: batchSnapshot } },
    },
    async (asked, { params: { id } }) => {
      const snapshot = await readBatch(store, id);
      if (snapshot === undefined) throw await gone(store, id);
      await requireAccountsOf(asked, store, id);
      const { detail, ...more } = snapshot;
      return { status: 200, body: { ...detail, ...more } };
    },
  );
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/batches/{id}/report',
      right: 'read',
      summary: 'Its report, one row for each settled item, in the order in which they were settled',
      params: batchParams,
      query: z.strictObject({
        format: z.enum(['csv', 'ndjson'], { error: 'give csv or ndjson' }).default('csv'),
        outcome: z.enum(OUTCOMES, { error: `give one of ${OUTCOMES.join(', ')}` }).optional(),
      }),
      answers: { 200: { description: 'The rows, as they are read.', types: ['text/csv', 'application/x-ndjson'] } },
    },
    async (asked, { params: { id: batch }, query: { format, outcome } }) => {
      await requireBatch(asked, store, batch);
      const found = await reportOf(store, { batch, format, ...(outcome !== undefined && { outcome }) });
      if (found.kind !== 'report') throw noSuchBatch(batch);
      const headers = {
        'content-type': REPORT_TYPES[format],
        'content-disposition': `attachment; filename="${batch}.${format}"`,
      };
      return sendStream(asked.env.outgoing, headers, found.text);
    },
  );
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/batches/{id}/dead',
      right: 'read',
      summary: 'Its dead letters, in no order',
      params: batchParams,
      query: z.strictObject(pageQuery(1_000, 100)),
      answers: {
        200: { description: 'A page of about so many as the limit says.', schema: pageOf('letters', deadLetter) },
      },
    },
    async (asked, { params: { id }, query: { limit, cursor = '0' } }) => {
      if (!/^\d{1,20}$/.test(cursor)) throw notACursor(cursor);
      await requireBatch(asked, store, id);
      return { status: 200, body: await deadLetterPage(store, id, cursor, limit) };
    },
  );
}

/**
 * To be asked before anything is done with a batch.
 * @throws Problem where there is none, or where the token is not for all that it touches
 */
export async function requireBatch(asked: Asked, store: Store, batch: string): Promise<void> {
  if ((await store.ledger.batches.find(batch)) === undefined) throw await gone(store, batch);
  await requireAccountsOf(asked, store, batch);
}

async function requireAccountsOf(asked: Asked, store: Store, batch: string): Promise<void> {
  const who = asked.get('who');
  if (who.accounts !== undefined) requireWithin(who, await accountsOfBatch(store, batch));
}

export function notACursor(cursor = ''): Problem {
  const shown = JSON.stringify(cursor.slice(0, 60));
  return badRequest(`${shown} is not a cursor of this list.`, 'Send next of the previous page, or no cursor to begin.');
}

async function gone(store: Store, batch: string): Promise<Problem> {
  const left = await forgottenBatch(store, batch);
  if (left === undefined) return noSuchBatch(batch);
  return new Problem({
    status: 410,
    code: 'forgotten',
    title: 'The batch was forgotten',
    detail: `Batch ${batch} was taken out of Redis. What is left of it is in this answer.`,
    next: 'GET /v1/audit has who forgot it, and why.',
    more: { forgotten: left },
  });
}
