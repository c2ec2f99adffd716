import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificates, manifestOf } from '../support/fleet.ts';
import { askFor, openHttpRoom, TOKENS, type Answered, type HttpRoom, type TokenName } from './http-room.ts';

let room: HttpRoom;
let other: { readonly url: string };
beforeAll(async () => {
  room = await openHttpRoom();
  other = await room.serve();
});
afterAll(() => room.remove());

let seed = 100;
function manifest(size = 3): string {
  return manifestOf(certificates(size, (seed += 1)));
}

interface Posting {
  readonly as?: TokenName;
  readonly query?: string;
  readonly key?: string;
  readonly url?: string;
  readonly type?: string;
}

function post(
  body: string,
  { as = 'producer', query = '?execute=true&confirm=3', key, url = room.url, type = 'text/csv' }: Posting = {},
): Promise<Answered> {
  const headers = { 'content-type': type, ...(key !== undefined && { 'idempotency-key': key }) };
  return askFor(`${url}/v1/batches${query}`, { as, method: 'POST', body, headers });
}

/** A request whose body the test sends piece by piece. */
function open(path: string, headers: Record<string, string>): ClientRequest {
  const authorization = `Bearer ${TOKENS.producer}`;
  return request(`${room.url}${path}`, { method: 'POST', headers: { authorization, ...headers } });
}

async function answerOf(sent: ClientRequest): Promise<{ status: number; json: Record<string, unknown> }> {
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, json: JSON.parse(await text(answer)) as Record<string, unknown> };
}

async function batches(): Promise<string[]> {
  const { json } = await room.ask('/v1/batches?limit=500', { as: 'viewer' });
  return (json['batches'] as { batch: string }[]).map(({ batch }) => batch);
}

describe('a manifest', () => {
  it('is only checked without execute, and then runs once its number is confirmed', async () => {
    const before = await batches();
    const body = manifest();
    const manifestSha256 = createHash('sha256').update(body).digest('hex');
    const dry = await post(body, { query: '' });
    expect(dry).toMatchObject({ status: 200, json: { state: 'dry-run', batch: null, accepted: 3, manifestSha256 } });
    expect(await post(body, { query: '?execute=true' })).toMatchObject({ status: 400 });
    const wrong = await post(body, { query: '?execute=true&confirm=4' });
    expect(wrong).toMatchObject({ status: 409, json: { expected: 3 } });
    expect(await batches()).toEqual(before);
    const taken = await post(body, { query: '?execute=true&confirm=3&reason=ticket%201' });
    expect(taken).toMatchObject({ status: 202, json: { state: 'running', accepted: 3 } });
    const at = taken.headers.get('location') ?? '';
    expect(await room.ask(at, { as: 'viewer' })).toMatchObject({
      status: 200,
      json: { state: 'running', pending: 3, manifestSha256 },
    });
    const entry = (await room.audit()).at(-1);
    expect(entry).toMatchObject({ event: 'submit', requestedBy: 'producer', reason: 'ticket 1', manifestSha256 });
    // The same at work is joined, and not done twice.
    expect(await post(body)).toMatchObject({ status: 200, json: { state: 'at-work', accepted: 0, duplicates: 3 } });
  });

  it('is refused as a whole for what is wrong with it', async () => {
    const before = await batches();
    const refused: readonly (readonly [what: string, body: string, posting: Posting, status: number])[] = [
      ['a bad row', 'instanceId,caSn,deviceSn\npost-cn-fleet,CA01,\n', {}, 422],
      ['an instance of nobody', 'instanceId,caSn,deviceSn\npost-cn-x,CA01,01\n', {}, 422],
      ['nothing', '', {}, 422],
      ['no line end', manifest().trimEnd(), {}, 422],
      ['an image', '\u0000\u0001', {}, 422],
      ['another type', manifest(), { type: 'application/json' }, 415],
      ['an unknown parameter', manifest(), { query: '?execute=true&confirm=3&yes=1' }, 400],
      ['a parameter twice', manifest(), { query: '?execute=true&execute=false&confirm=3' }, 400],
      ['no number', manifest(), { query: '?execute=true&confirm=3e0' }, 400],
      ['an unknown action', manifest(), { query: '?action=bless' }, 400],
      ['a soak of what does not retire', manifest(), { query: '?soak=24h' }, 400],
      ['destroyed devices of what deletes', manifest(), { query: '?action=delete&deviceDestroyed=true' }, 400],
      ['a soak without a unit', manifest(), { query: '?action=retire&soak=24' }, 400],
      ['an empty key', manifest(), { key: 'a b\tc' }, 400],
    ];
    for (const [what, body, posting, status] of refused) {
      const answer = await post(body, posting);
      expect([what, answer.status]).toEqual([what, status]);
      expect(answer.json).toMatchObject({ status, next: expect.any(String), detail: expect.any(String) });
    }
    expect(await batches()).toEqual(before);
  });

  it('is held to the accounts and the size of its token', async () => {
    const body = manifest(6);
    const outside = await post(body, { as: 'narrow', query: '?execute=true&confirm=6' });
    expect(outside).toMatchObject({ status: 403, json: { detail: expect.stringContaining('account fleet') } });
    expect(await post(body, { as: 'narrow', query: '' })).toMatchObject({ status: 403 });
  });
});

describe('an idempotency key', () => {
  it('makes one batch of many tries over two processes, and answers them alike', async () => {
    const body = manifest();
    const tries = await Promise.all(
      Array.from({ length: 8 }, (_, at) => post(body, { key: 'k1', url: at % 2 === 0 ? room.url : other.url })),
    );
    const told = tries.map(({ status, json }) => (status === 202 ? 'taken' : json['type']));
    expect(['taken', 'urn:certsweep:problem:idempotency-key-in-use']).toEqual(expect.arrayContaining(told));
    const first = tries.find(({ status }) => status === 202);
    const again = await post(body, { key: 'k1', url: other.url });
    expect(again).toMatchObject({ status: 202, json: first?.json ?? {} });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    // Also when the batch is long over: the answer is kept, not made again.
    const id = String(first?.json['batch']);
    expect(await room.ask(`/v1/batches/${id}/cancel`, { as: 'operator', method: 'POST' })).toMatchObject({
      status: 200,
    });
    expect(await post(body, { key: 'k1' })).toMatchObject({ status: 202, json: first?.json ?? {} });
    expect((await batches()).filter((one) => one === id)).toHaveLength(1);
  });

  it('belongs to one content and one token, and not to dry runs', async () => {
    const body = manifest();
    expect(await post(body, { key: 'k2', query: '' })).toMatchObject({ status: 200, json: { state: 'dry-run' } });
    expect(await post(body, { key: 'k2' })).toMatchObject({ status: 202 });
    for (const [what, query] of [
      [manifest(), '?execute=true&confirm=3'],
      [body, '?execute=true&confirm=3&priority=urgent'],
    ] as const)
      expect(await post(what, { key: 'k2', query })).toMatchObject({
        status: 422,
        json: { type: 'urn:certsweep:problem:idempotency-key-reused' },
      });
    expect(await post(manifest(), { key: 'k2', as: 'second' })).toMatchObject({ status: 202 });
    expect(await post(manifest(), { key: 'k2', query: '' })).toMatchObject({ status: 200 });
  });

  it('belongs to one way to retire, however that is written', async () => {
    const body = manifest();
    const retire = (how: string): Promise<Answered> =>
      post(body, { key: 'k7', query: `?execute=true&confirm=3&action=retire${how}` });
    const taken = await retire('&soak=48h&deviceDestroyed=true');
    expect(taken).toMatchObject({ status: 202, json: { state: 'running' } });
    const at = taken.headers.get('location') ?? '';
    const soakMs = 48 * 3_600_000;
    expect((await room.ask(at, { as: 'viewer' })).json).toMatchObject({
      action: 'retire',
      phase: 'inactivating',
      retire: { soakMs, deviceDestroyed: true },
    });
    expect((await room.audit()).at(-1)).toMatchObject({ event: 'submit', retire: { soakMs, deviceDestroyed: true } });
    expect((await retire('&soak=2d&deviceDestroyed=true')).headers.get('idempotency-replayed')).toBe('true');
    for (const how of ['&soak=48h', '&soak=1h&deviceDestroyed=true', '&deviceDestroyed=true', ''])
      expect([how, (await retire(how)).status]).toEqual([how, 422]);
  });

  it('keeps what it joined, also when that batch has ended meanwhile', async () => {
    const body = manifest();
    const first = await post(body);
    const joined = await post(body, { key: 'k3' });
    expect(joined).toMatchObject({ status: 200, json: { state: 'at-work', batch: first.json['batch'] } });
    await room.ask(`/v1/batches/${String(first.json['batch'])}/cancel`, { as: 'operator', method: 'POST' });
    const before = await batches();
    expect(await post(body, { key: 'k3' })).toMatchObject({ status: 200, json: joined.json });
    expect(await batches()).toEqual(before);
  });

  it('is free again after a refusal', async () => {
    const body = manifest();
    expect(await post(body, { key: 'k4', query: '?execute=true&confirm=2' })).toMatchObject({ status: 409 });
    expect(await post(body, { key: 'k4' })).toMatchObject({ status: 202 });
  });

  it('is refused while the first try is still sending, whose batch is the one', async () => {
    const body = manifest();
    const slow = open('/v1/batches?execute=true&confirm=3', { 'content-type': 'text/csv', 'idempotency-key': 'k5' });
    const answer = answerOf(slow);
    slow.write(body.slice(0, 30));
    const redis = await room.redis();
    await expect.poll(() => redis.keys('*idempotency*').then((keys) => keys.length)).toBeGreaterThan(4);
    expect(await post(body, { key: 'k5', url: other.url })).toMatchObject({ status: 409 });
    slow.end(body.slice(30));
    expect(await answer).toMatchObject({ status: 202 });
  });

  it('binds nothing for one that lost its claim: then nothing runs', async () => {
    const body = manifest();
    const before = await batches();
    const slow = open('/v1/batches?execute=true&confirm=3', { 'content-type': 'text/csv', 'idempotency-key': 'k6' });
    const answer = answerOf(slow);
    slow.write(body.slice(0, 30));
    const redis = await room.redis();
    let mine: string[] = [];
    const known = new Set(await redis.keys('*idempotency*'));
    await expect
      .poll(
        async () =>
          (mine = (await redis.keys('*idempotency*')).filter((key) => !known.has(key) || known.size > 5)).length,
      )
      .toBeGreaterThan(0);
    for (const key of mine) if ((await redis.hget(key, 'batch')) === null) await redis.hset(key, 'holder', 'another');
    slow.end(body.slice(30));
    expect(await answer).toMatchObject({ status: 409, json: { type: 'urn:certsweep:problem:idempotency-key-in-use' } });
    expect(await batches()).toEqual(before);
  });
});

it('a single certificate is urgent, and taken in once', async () => {
  const [certificate] = certificates(1, 900);
  const single = (as: TokenName, body: object): Promise<Answered> =>
    room.ask('/v1/certificates', {
      as,
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
  const taken = await single('producer', { ...certificate, reason: 'lost device' });
  expect(taken).toMatchObject({ status: 202, json: { batch: 'direct-fleet', state: 'running', accepted: 1 } });
  expect(await room.ask(taken.headers.get('location') ?? '', { as: 'viewer' })).toMatchObject({ status: 200 });
  expect(await single('producer', { ...certificate })).toMatchObject({ status: 202, json: { state: 'at-work' } });
  expect(await single('producer', { ...certificate, deviceSn: '' })).toMatchObject({ status: 422 });
  expect(await single('producer', { ...certificate, instanceId: 'post-cn-x' })).toMatchObject({ status: 422 });
  expect(await single('producer', { ...certificate, more: 1 })).toMatchObject({ status: 400 });
  expect(await single('narrow', { ...certificate })).toMatchObject({ status: 403 });
  // While what was taken in is given up, nothing more is.
  expect(await room.ask('/v1/batches/direct-fleet/cancel', { as: 'operator', method: 'POST' })).toMatchObject({
    status: 200,
  });
  const [next] = certificates(1, 901);
  expect(await single('producer', { ...next })).toMatchObject({
    status: 409,
    json: { type: 'urn:certsweep:problem:being-cancelled', next: expect.stringContaining('again') },
  });
});
