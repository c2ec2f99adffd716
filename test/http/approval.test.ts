import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { certificates, manifestOf } from '../support/fleet.ts';
import {
  openHttpRoom,
  sha256Of,
  TOKEN_ENTRIES,
  TOKENS,
  type Answered,
  type HttpRoom,
  type TokenName,
} from './http-room.ts';

/** A producer that was made an approver since: the same token, under another name. */
const PROMOTED = { name: 'promoted', role: 'approver', sha256: sha256Of(TOKENS.second) };

let room: HttpRoom;
let promoted: string;
beforeAll(async () => {
  const approvals = { above: 3 };
  room = await openHttpRoom({}, { approvals });
  const tokens = [...TOKEN_ENTRIES.filter(({ name }) => name !== 'second'), PROMOTED];
  const settings = { accounts: { fleet: { endpoint: 'http://127.0.0.1:1', instances: ['post-cn-fleet'] } } };
  await room.configure({ ...settings, approvals, http: { port: 0, tokens } }, 'promoted.yaml');
  promoted = (await room.serve('promoted.yaml')).url;
});
afterAll(() => room.remove());

let seed = 500;
async function submit(
  size: number,
  as: TokenName,
  key?: string,
  how = '',
): Promise<{ answer: Answered; sha256: string; id: string }> {
  const body = manifestOf(certificates(size, (seed += 1)));
  const answer = await room.ask(`/v1/batches?execute=true&confirm=${size}${how}`, {
    as,
    method: 'POST',
    body,
    headers: { 'content-type': 'text/csv', ...(key !== undefined && { 'idempotency-key': key }) },
  });
  return { answer, sha256: createHash('sha256').update(body).digest('hex'), id: String(answer.json['batch']) };
}

function approve(id: string, as: TokenName, manifest: string, action = 'delete'): Promise<Answered> {
  return room.ask(`/v1/batches/${id}/approve`, {
    as,
    method: 'POST',
    body: JSON.stringify({ manifest, action }),
    headers: { 'content-type': 'application/json' },
  });
}

async function stateOf(id: string): Promise<Record<string, unknown>> {
  return (await room.ask(`/v1/batches/${id}`, { as: 'viewer' })).json;
}

it('a batch of no more than approvals.above runs at once', async () => {
  const { answer } = await submit(3, 'producer');
  expect(answer).toMatchObject({ status: 202, json: { state: 'running' } });
});

it('a larger one waits, for seven days, until an approver approves exactly what it is', async () => {
  const { answer, sha256, id } = await submit(4, 'producer', 'large');
  expect(answer).toMatchObject({ status: 202, json: { state: 'awaits-approval', accepted: 4 } });
  expect(await stateOf(id)).toMatchObject({
    state: 'planned',
    accepted: 0,
    awaitsApproval: { certificates: 4, manifest: sha256, submittedBy: 'producer' },
  });
  const redis = await room.redis();
  for (const key of await redis.keys(`*batch:${id}*`)) expect(await redis.pttl(key)).toBeGreaterThan(6.9 * 86_400_000);
  expect(await redis.zrange('{certsweep}:active', '0', '-1')).not.toContain(id);
  expect(await approve(id, 'operator', sha256)).toMatchObject({ status: 403 });
  expect(await approve(id, 'approver', '0'.repeat(64))).toMatchObject({ status: 409 });
  expect(await approve(id, 'approver', sha256, 'activate')).toMatchObject({ status: 409, json: { action: 'delete' } });
  expect(await stateOf(id)).toMatchObject({ state: 'planned' });
  expect(await approve(id, 'approver', sha256)).toMatchObject({
    status: 200,
    json: { state: 'running', accepted: 4, pending: 4 },
  });
  for (const key of await redis.keys(`*batch:${id}*`)) expect(await redis.pttl(key)).toBe(-1);
  expect(await approve(id, 'approver', sha256)).toMatchObject({ status: 409, json: { state: 'running' } });
  const events = (await room.audit()).filter(({ batch }) => batch === id);
  expect(events.map(({ event, requestedBy }) => [event, requestedBy])).toEqual([
    ['approval-asked', 'producer'],
    ['approve', 'approver'],
  ]);
  const verified = await room.run(['audit', '--verify']);
  expect(verified).toMatchObject({ code: 0 });
});

it('nobody approves what they have submitted, under whatever name and role', async () => {
  const { sha256, id } = await submit(4, 'second');
  const own = await fetch(`${promoted}/v1/batches/${id}/approve`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKENS.second}`, 'content-type': 'application/json' },
    body: JSON.stringify({ manifest: sha256, action: 'delete' }),
  });
  expect(own.status).toBe(403);
  expect(await own.text()).toContain('submitted');
  expect(await stateOf(id)).toMatchObject({ state: 'planned' });
});

it('the command line waits for an approval as well, and gives one', async () => {
  const body = manifestOf(certificates(5, (seed += 1)));
  const file = await room.file('large.csv', body);
  const submitted = await room.run(['submit', file, '--execute', '--yes', '--json', '--wait']);
  expect(submitted).toMatchObject({ code: 3 });
  const { batch, outcome } = JSON.parse(submitted.stdout) as { batch: string; outcome: string };
  expect(outcome).toBe('awaits-approval');
  const shown = await room.run(['approve', batch, '--json']);
  const { manifest } = JSON.parse(shown.stdout) as { manifest: string };
  expect(manifest).toBe(createHash('sha256').update(body).digest('hex'));
  const give = (token: string | undefined): ReturnType<HttpRoom['run']> =>
    room.run(['approve', batch, '--manifest', manifest], { env: { CERTSWEEP_TOKEN: token } });
  expect(await give(undefined)).toMatchObject({ code: 2 });
  expect(await give(TOKENS.operator)).toMatchObject({ code: 3 });
  expect(await give('cst_nobody')).toMatchObject({ code: 3 });
  const tokenFile = await room.file('token', `${TOKENS.approver}\n`);
  const approved = await room.run(['approve', batch, '--manifest', manifest], {
    env: { CERTSWEEP_TOKEN_FILE: tokenFile },
  });
  expect(approved).toMatchObject({ code: 0 });
  expect(await stateOf(batch)).toMatchObject({ state: 'running', accepted: 5 });
});

it('an approver is told how it retires, and everybody that it waits', async () => {
  const { id } = await submit(4, 'producer', undefined, '&action=retire&soak=0h&deviceDestroyed=true');
  const retire = { soakMs: 0, deviceDestroyed: true };
  expect(await stateOf(id)).toMatchObject({ state: 'planned', retire, awaitsApproval: { certificates: 4 } });
  const [shown, status] = await Promise.all([room.run(['approve', id]), room.run(['status', id, '--json'])]);
  expect(shown.stderr.replaceAll(/\s+/g, ' ')).toContain(
    'would retire 4 device certificates (soak 0m, deleted also while their CA is active)',
  );
  expect(JSON.parse(status.stdout)).toMatchObject({ state: 'planned', awaitsApproval: { certificates: 4 } });
});

it('a batch that waits can be cancelled, and then not approved', async () => {
  const { sha256, id } = await submit(4, 'producer');
  expect(await room.ask(`/v1/batches/${id}/cancel`, { as: 'operator', method: 'POST' })).toMatchObject({ status: 200 });
  expect(await approve(id, 'approver', sha256)).toMatchObject({ status: 409, json: { state: 'cancelled' } });
});
