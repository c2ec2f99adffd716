import { z } from '@hono/zod-openapi';
import {
  discardDeadLetters,
  retryDeadLetters,
  type LetterDeed,
  type LetterSelection,
  type NotDone,
} from '../../app/dead-letters.ts';
import { addRoute, type Api, type Asked, type Reply, type Surroundings } from '../api.ts';
import { badRequest, noSuchBatch, reasonRequired } from '../problem.ts';
import { forbidden, requireWithin } from '../rights.ts';
import { batchId, reason } from '../schemas.ts';
import { requireBatch } from './batch-reads.ts';
import { changing } from '../trouble.ts';
import { unconfirmed } from './submit-answers.ts';

const time = z.iso.datetime({ offset: true, error: 'give a time like 2026-01-31T09:00:00Z' });
const body = z.strictObject({
  batch: batchId.optional(),
  code: z.string().min(1).max(200).optional(),
  instanceId: z.string().min(1).max(128).optional(),
  from: time.optional().describe('Only those that died at this time, or later.'),
  before: time.optional().describe('Only those that died before this time.'),
  all: z.boolean().optional().describe('Every one of every batch; in place of a filter.'),
  confirm: z.int().min(0).optional().describe('How many you mean. Without it the answer is the number.'),
  reason: reason.optional(),
});
type Body = z.infer<typeof body>;

const counted = z.object({ letters: z.int(), isDone: z.boolean() });

/** What is done with dead letters, by filter. */
export function addLetters(api: Api, { store }: Surroundings): void {
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/dead/retry',
      right: 'control',
      summary: 'Try dead letters again; without confirm, count them',
      body,
      answers: {
        200: {
          description: 'What was done, or how many there are.',
          schema: counted.extend({ cancelled: z.int(), unknown: z.int(), refused: z.int() }).partial(),
        },
      },
    },
    async (asked, { body: given }) => {
      const { deed, selection } = await asOf(asked, given);
      const result = await changing(store, () => retryDeadLetters(store, selection, deed));
      if (result.kind !== 'retried') return notDone(result, given);
      const { retried, cancelled, unknown, refused } = result;
      return {
        status: 200,
        body: { isDone: given.confirm !== undefined, letters: retried, cancelled, unknown, refused },
      };
    },
  );
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/dead/discard',
      right: 'control',
      summary: 'Discard dead letters; without confirm, count them',
      body,
      answers: { 200: { description: 'What was done, or how many there are.', schema: counted } },
    },
    async (asked, { body: given }) => {
      const { deed, selection } = await asOf(asked, given);
      const result = await changing(store, () => discardDeadLetters(store, selection, deed));
      if (result.kind !== 'discarded') return notDone(result, given);
      return { status: 200, body: { isDone: given.confirm !== undefined, letters: result.discarded } };
    },
  );

  async function asOf(asked: Asked, given: Body): Promise<{ deed: LetterDeed; selection: LetterSelection }> {
    const who = asked.get('who');
    const { batch, code, instanceId, from, before, all } = given;
    if (batch !== undefined) await requireBatch(asked, store, batch);
    else if (who.accounts !== undefined)
      throw forbidden(`Token ${who.name} is for some accounts only.`, 'Name a batch of one of its accounts.');
    const selection = {
      ...(batch !== undefined && { batch }),
      ...(code !== undefined && { code }),
      ...(instanceId !== undefined && { instanceId }),
      ...(from !== undefined && { fromMs: Date.parse(from) }),
      ...(before !== undefined && { beforeMs: Date.parse(before) }),
      ...(all !== undefined && { all }),
    };
    const deed: LetterDeed = {
      requestedBy: who.name,
      ...(given.reason !== undefined && { reason: given.reason }),
      confirm: (letters) => {
        if (given.confirm !== undefined) requireWithin(who, [], letters);
        return Promise.resolve(given.confirm ?? Number.NaN);
      },
      // A question for the number needs no reason.
      ...(given.confirm === undefined && { askReason: () => Promise.resolve(undefined) }),
    };
    return { deed, selection };
  }
}

function notDone(result: NotDone, { confirm }: Body): Reply {
  switch (result.kind) {
    case 'unconfirmed':
      if (confirm === undefined) return { status: 200, body: { isDone: false, letters: result.letters } };
      throw unconfirmed(result.letters, 'dead letters', confirm);
    case 'reason-required':
      throw reasonRequired();
    case 'no-batch':
      throw noSuchBatch(result.batch);
    case 'nothing-selected':
      throw badRequest(
        'Nothing says which dead letters.',
        'Give batch, code, instanceId, from or before, or all: true.',
      );
    case 'contradictory':
      throw badRequest('all means every dead letter of every batch.', 'Leave it out, or leave out what narrows it.');
  }
}
