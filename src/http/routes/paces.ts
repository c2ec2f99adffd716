import { z } from '@hono/zod-openapi';
import { lowerPace, restorePace, type LowerOutcome, type UnknownAccount } from '../../app/pace.ts';
import { accountsOverview } from '../../app/paces.ts';
import { startAll, stopAll } from '../../app/stop.ts';
import { addRoute, type Api, type Asked, type Surroundings } from '../api.ts';
import { badRequest, Problem, reasonRequired } from '../problem.ts';
import { forbidden, requireWithin } from '../rights.ts';
import { halt, lowered, reason, stop } from '../schemas.ts';
import { changing } from '../trouble.ts';

const account = z
  .looseObject({
    account: z.string(),
    configuredQps: z.number(),
    inForceQps: z
      .number()
      .describe(
        'Less while it is lowered or after throttling, 0 while it is stopped, halted or held after a throttling answer.',
      ),
    usedQps: z.number().nullable().describe('Over the last ten seconds that a worker has measured.'),
    lowered: lowered.nullable(),
    factor: z.number().describe('Share of the pace that throttling answers have left.'),
    heldForMs: z.int().describe('How long a throttling answer still stops it.'),
    halts: z.array(halt),
    isAttended: z.boolean().describe('Whether a worker works for it.'),
  })
  .openapi('Account');
// Not `nullable()`: with it, the document would let every Stop be null.
const accounts = z.object({ stopped: z.union([stop, z.null()]), accounts: z.array(account) });
const pace = z.object({ account: z.string(), configuredQps: z.number(), lowered: lowered.nullable() });
const why = z.strictObject({ reason: reason.optional() });

/** Accounts and their pace, and the kill switch over all of them. */
export function addPaces(api: Api, { store }: Surroundings): void {
  addRoute(
    api,
    {
      method: 'get',
      path: '/v1/accounts',
      right: 'read',
      summary: 'The accounts, their pace, and what stands in their way',
      answers: { 200: { description: 'All accounts.', schema: accounts } },
    },
    async (asked) => {
      const { accounts: only } = asked.get('who');
      const all = await accountsOverview(store);
      const shown = all.accounts.filter((one) => only === undefined || only.includes(one.account));
      return { status: 200, body: { stopped: all.stopped, accounts: shown } };
    },
  );
  addRoute(
    api,
    {
      method: 'put',
      path: '/v1/accounts/{name}/pace',
      right: 'control',
      summary: 'Lower the pace of an account for a time, or with qps null end that',
      params: z.strictObject({ name: z.string().max(64) }),
      body: why.extend({
        qps: z.number().nullable().describe('Calls a second, below the configured ones.'),
        forSeconds: z.number().optional().describe('Then it is the configured one again by itself.'),
      }),
      answers: { 200: { description: 'Its pace now.', schema: pace } },
    },
    async (asked, { params: { name }, body: { qps, forSeconds, reason: given } }) => {
      const who = asked.get('who');
      requireWithin(who, [name]);
      const motive = { requestedBy: who.name, ...(given !== undefined && { reason: given }) };
      if (qps === null) {
        const result = await changing(store, () => restorePace(store, name, motive));
        if (result.kind === 'no-account') throw noAccount(name, result);
        if (result.kind === 'reason-required') throw reasonRequired();
        return { status: 200, body: { account: name, configuredQps: result.configuredQps, lowered: null } };
      }
      if (forSeconds === undefined) throw badRequest('forSeconds is missing.', 'Say for how long, in seconds.');
      const result = await changing(store, () => lowerPace(store, { account: name, qps, forSeconds }, motive));
      if (result.kind !== 'lowered') throw notLowered(name, result);
      const { configuredQps, qps: to, untilMs } = result;
      return { status: 200, body: { account: name, configuredQps, lowered: { qps: to, untilMs } } };
    },
  );
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/stop',
      right: 'control',
      summary: 'The kill switch: two seconds later no call leaves, on any host',
      body: why,
      answers: { 200: { description: 'It is stopped.', schema: z.object({ isNew: z.boolean(), stop }) } },
    },
    async (asked, { body }) => {
      const motive = motiveForAll(asked, body.reason);
      const { isNew, stop: stands } = await changing(store, () => stopAll(store, motive));
      return { status: 200, body: { isNew, stop: stands } };
    },
  );
  addRoute(
    api,
    {
      method: 'post',
      path: '/v1/start',
      right: 'control',
      summary: 'Start calls again: batches continue where they stopped',
      body: why,
      answers: { 200: { description: 'It is started.', schema: z.object({ stop }) } },
    },
    async (asked, { body }) => {
      const motive = motiveForAll(asked, body.reason);
      const result = await changing(store, () => startAll(store, motive));
      if (result.kind === 'started') return { status: 200, body: { stop: result.stop } };
      if (result.kind === 'reason-required') throw reasonRequired();
      throw new Problem({
        status: 409,
        code: result.kind,
        title: 'There is nothing to start',
        detail: result.kind === 'another-stop' ? 'It was stopped again meanwhile.' : 'Calls may be made already.',
        next: 'GET /v1/accounts shows who has stopped them, and why.',
      });
    },
  );
}

/** What touches every account. */
function motiveForAll(asked: Asked, given: string | undefined): { requestedBy: string; reason?: string } {
  const { name, accounts: only } = asked.get('who');
  if (only !== undefined)
    throw forbidden(`Token ${name} is for some accounts, and this is for all.`, 'Use a token without accounts.');
  return { requestedBy: name, ...(given !== undefined && { reason: given }) };
}

function notLowered(name: string, result: Exclude<LowerOutcome, { readonly kind: 'lowered' }>): Problem {
  switch (result.kind) {
    case 'no-account':
      return noAccount(name, result);
    case 'bad-qps':
      return badRequest('qps is not a whole number of at least 1.', 'To stop all calls, POST /v1/stop.');
    case 'bad-time':
      return badRequest(
        `forSeconds is not a whole number from 1 to ${result.most}.`,
        'For longer, lower limits.qps of the configuration.',
      );
    case 'not-lower':
      return new Problem({
        status: 422,
        code: 'not-lower',
        title: 'That is not below the configured pace',
        detail: `Account ${name} is configured for ${result.configuredQps} calls a second. Nothing was touched.`,
        next: 'Give less. To raise it, change the configuration.',
        more: { configuredQps: result.configuredQps },
      });
  }
}

function noAccount(name: string, { accounts: known }: UnknownAccount): Problem {
  return new Problem({
    status: 404,
    code: 'no-account',
    title: 'There is no such account',
    detail: `The configuration has no account ${JSON.stringify(name)}.`,
    next: `It has ${known.join(', ')}.`,
  });
}
