import { z } from '@hono/zod-openapi';
import { ownerIn } from '../../app/accounts.ts';
import { BeingCancelled, DirectRefused, HourlyLimitReached } from '../../app/submit-direct.ts';
import { rowOfObject } from '../../manifest/objects.ts';
import { addRoute, type Api, type Surroundings } from '../api.ts';
import { Problem } from '../problem.ts';
import { requireWithin } from '../rights.ts';
import { reason } from '../schemas.ts';
import { submittedAnswer, takenReply } from './submit-answers.ts';

const body = z.strictObject({
  instanceId: z.string().max(200),
  caSn: z.string().max(200),
  deviceSn: z.string().max(200),
  reason: reason.optional(),
});

/** Single certificates come in here; each is urgent, since somebody waits for it. */
export function addSingles(api: Api, { store, direct }: Surroundings): void {
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/certificates',
      right: 'submit',
      summary: 'Revoke one certificate, before all batches',
      body,
      answers: {
        202: { description: 'It is accepted. Location is where to read its status.', schema: submittedAnswer },
      },
    },
    async (asked, { body: { reason: why, ...certificate } }) => {
      const who = asked.get('who');
      const owner = ownerIn(store.config)(certificate.instanceId);
      if (owner !== undefined) requireWithin(who, [owner], 1);
      const motive = { requestedBy: who.name, ...(why !== undefined && { reason: why }) };
      const outcome = await direct.submit(rowOfObject(certificate, 1), 'urgent', motive).catch(refused);
      const { basePath } = store.config.http;
      const { body: taken } = takenReply(outcome, basePath);
      const location = `${basePath}/v1/certificates?deviceSn=${encodeURIComponent(certificate.deviceSn)}`;
      return { status: 202, body: taken, headers: { location } };
    },
  );
}

function refused(error: unknown): never {
  if (error instanceof HourlyLimitReached) {
    throw new Problem({
      status: 429,
      code: 'hourly-limit',
      title: 'The account accepts no more for now',
      detail: `${error.message}.`,
      next: 'Ask an operator to find out why there are so many, and to resume the batch.',
    });
  }
  if (error instanceof BeingCancelled) {
    throw new Problem({
      status: 409,
      code: 'being-cancelled',
      title: 'The account accepts nothing for now',
      detail: `${error.message[0]?.toUpperCase()}${error.message.slice(1)}. Nothing was touched.`,
      next: 'Send it again in a while.',
      headers: { 'retry-after': '5' },
    });
  }
  if (error instanceof DirectRefused) {
    throw new Problem({
      status: 422,
      code: error.code,
      title: 'The account does not take single certificates like this one',
      detail: error.message,
      next: 'Submit a manifest, or have accounts.<name>.direct changed.',
    });
  }
  throw error;
}
