import { z } from '@hono/zod-openapi';
import { ACTIONS } from '../../core/action.ts';
import { approveBatch, type ApprovalOutcome } from '../../app/approve.ts';
import { changeBatch, changePriority, type Change } from '../../app/control.ts';
import { batchStatus } from '../../app/overview.ts';
import { describeRedisError } from '../../runtime/redis/describe-error.ts';
import { addRoute, type Api, type Surroundings } from '../api.ts';
import { noSuchBatch, Problem, reasonRequired } from '../problem.ts';
import { forbidden } from '../rights.ts';
import { batchDetail, batchParams, reason } from '../schemas.ts';
import { changing } from '../trouble.ts';
import { requireBatch } from './batch-reads.ts';

const CHANGES: readonly { readonly name: Change; readonly summary: string }[] = [
  { name: 'pause', summary: 'Hold a batch: no further call of it is made' },
  { name: 'resume', summary: 'Continue a paused batch' },
  { name: 'cancel', summary: 'Give up the rest of a batch; there is no way back' },
];

const after = { 200: { description: 'The batch after it.', schema: batchDetail } };

/** What is done to a batch. */
export function addControls(api: Api, { store }: Surroundings): void {
  for (const { name, summary } of CHANGES) {
    addRoute(
      api,
      {
        method: 'post',
        path: `/v1/batches/{id}/${name}`,
        right: 'control',
        summary,
        params: batchParams,
        body: z.strictObject({ reason: reason.optional() }),
        answers: after,
      },
      async (asked, { params: { id }, body }) => {
        await requireBatch(asked, store, id);
        const why = body.reason === undefined ? {} : { reason: body.reason };
        const { result, now } = await changing(store, async () => ({
          result: await changeBatch(store, id, name, { requestedBy: asked.get('who').name, ...why }),
          now: await batchStatus(store.ledger, id),
        }));
        switch (result.kind) {
          case 'changed':
            return { status: 200, body: now };
          case 'reason-required':
            throw reasonRequired();
          case 'no-batch':
            throw noSuchBatch(id);
          case 'refused':
            throw inThisState(id, result.state, `there is nothing to ${name}`);
        }
      },
    );
  }
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/batches/{id}/priority',
      right: 'control',
      summary: 'Have a batch run before bulk ones, or after urgent ones',
      params: batchParams,
      body: z.strictObject({
        priority: z.enum(['urgent', 'bulk'], { error: 'give urgent or bulk' }),
        reason: reason.optional(),
      }),
      answers: after,
    },
    async (asked, { params: { id }, body: { priority, reason: why } }) => {
      await requireBatch(asked, store, id);
      const motive = { requestedBy: asked.get('who').name, ...(why !== undefined && { reason: why }) };
      const { result, now } = await changing(store, async () => ({
        result: await changePriority(store, id, priority, motive),
        now: await batchStatus(store.ledger, id),
      }));
      switch (result.kind) {
        case 'changed':
        case 'same':
          return { status: 200, body: now };
        case 'no-batch':
          throw noSuchBatch(id);
        case 'reason-required':
          throw reasonRequired();
        case 'refused':
          throw inThisState(id, result.state, 'nothing of it is waiting for its turn');
        case 'direct':
          throw inThisState(id, 'direct', 'each of its jobs has a priority of its own');
      }
    },
  );
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/batches/{id}/approve',
      right: 'approve',
      summary: 'Let a large batch run that another token has submitted',
      params: batchParams,
      body: z.strictObject({
        manifest: z.string().min(1).max(128).describe('As awaitsApproval.manifest of the batch has it.'),
        action: z.enum(ACTIONS, { error: `give one of ${ACTIONS.join(', ')}` }).describe("The batch's own."),
        reason: reason.optional(),
      }),
      answers: after,
    },
    async (asked, { params: { id }, body: { manifest, action, reason: why } }) => {
      await requireBatch(asked, store, id);
      const request = { batch: id, manifest, action, ...(why !== undefined && { reason: why }) };
      const result = await approveBatch(store, asked.get('who'), request);
      if (result.kind !== 'running') throw notApproved(id, result);
      const now = await batchStatus(store.ledger, id).catch((error: unknown) => {
        throw notApproved(id, { kind: 'unknown', error });
      });
      return { status: 200, body: now };
    },
  );
}

function notApproved(batch: string, result: Exclude<ApprovalOutcome, { readonly kind: 'running' }>): Problem {
  switch (result.kind) {
    case 'no-batch':
      return noSuchBatch(batch);
    case 'reason-required':
      return reasonRequired();
    case 'not-awaiting':
      return inThisState(batch, result.state, 'it waits for no approval');
    case 'own':
      return forbidden('The token that submitted a batch may not approve it.', 'Have somebody else approve it.');
    case 'forbidden':
      return forbidden('This token may not approve this batch.', 'Have another approver do it.');
    case 'other-action':
      return new Problem({
        status: 409,
        code: 'other-action',
        title: 'That is not what would run',
        detail: `The batch would ${result.action} certificates. Nothing was touched.`,
        next: `If you mean that, approve it with action ${result.action}.`,
        more: { action: result.action },
      });
    case 'other-manifest':
      return new Problem({
        status: 409,
        code: 'other-manifest',
        title: 'That is not what would run',
        detail: 'The batch has another manifest than the one that was approved. Nothing was touched.',
        next: 'Compare awaitsApproval.manifest with what sha256sum prints of the manifest that you have checked.',
        more: { awaitsApproval: result.awaited },
      });
    case 'at-work':
      return inThisState(batch, 'planned', `the same manifest is already submitted, as batch ${result.batch}`);
    case 'gone':
      return inThisState(batch, 'planned', 'part of what was stored is lost: it has to be submitted again');
    case 'unknown':
      return new Problem({
        status: 504,
        code: 'unknown',
        title: 'It is not known whether it runs',
        detail: `${describeRedisError(result.error)}. The batch may run, now or later.`,
        next: 'Check the batch when Redis is back, or send the same again.',
      });
  }
}

function inThisState(batch: string, state: string, why: string): Problem {
  return new Problem({
    status: 409,
    code: 'wrong-state',
    title: 'Not in this state',
    detail: `Batch ${batch} is ${state}: ${why}. Nothing was touched.`,
    next: `GET /v1/batches/${batch} shows it.`,
    more: { state },
  });
}
