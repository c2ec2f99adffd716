import { connect as connectTo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/runtime/redis/connection.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { startRedisProxy, type RedisProxy } from '../support/redis-proxy.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { routesOf, type OpenApiDocument } from './document.ts';
import { openHttpRoom, TOKENS, type Answered, type HttpRoom } from './http-room.ts';

let server: TestRedis;
let proxy: RedisProxy;
let room: HttpRoom;
beforeAll(async () => {
  server = await startTestRedis();
  const { path = '', password = '' } = server.options as { path?: string; password?: string };
  proxy = await startRedisProxy(path);
  room = await openHttpRoom({}, { approvals: { above: 5 } }, `redis://:${password}@127.0.0.1:${proxy.port}`);
});
afterAll(async () => {
  await room.remove();
  await proxy.close();
  await server.stop();
});

const json = { 'content-type': 'application/json' };
const body = manifestOf(certificates(3, 7));

function submit(key: string, text = body, confirm = 3): Promise<Answered> {
  const headers = { 'content-type': 'text/csv', 'idempotency-key': key };
  return room.ask(`/v1/batches?execute=true&confirm=${confirm}`, {
    as: 'producer',
    method: 'POST',
    body: text,
    headers,
  });
}

async function ready(): Promise<void> {
  await expect.poll(async () => (await room.ask('/readyz')).status, { interval: 200 }).toBe(200);
}

/** Each route of the document, with what is sent to it. */
const ROUTES: readonly (readonly [route: string, more?: object | string])[] = [
  ['GET /v1/batches'],
  ['GET /v1/batches/{id}'],
  ['GET /v1/batches/{id}/report'],
  ['GET /v1/batches/{id}/dead'],
  ['GET /v1/events', '?batch={id}'],
  ['GET /v1/halts'],
  ['GET /v1/accounts'],
  ['GET /v1/audit'],
  ['GET /v1/schedules'],
  ['GET /v1/certificates', '?deviceSn=00'],
  ['GET /metrics'],
  ['POST /v1/batches', '?execute=true&confirm=3'],
  ['POST /v1/certificates', { ...certificates(1, 8)[0] }],
  ['POST /v1/batches/{id}/pause', {}],
  ['POST /v1/batches/{id}/resume', {}],
  ['POST /v1/batches/{id}/cancel', {}],
  ['POST /v1/batches/{id}/priority', { priority: 'urgent' }],
  ['POST /v1/batches/{id}/approve', { manifest: 'x', action: 'delete' }],
  ['PUT /v1/accounts/{name}/pace', { qps: 1, forSeconds: 60 }],
  ['POST /v1/stop', {}],
  ['POST /v1/start', {}],
  ['POST /v1/dead/retry', { all: true }],
  ['POST /v1/dead/discard', { all: true, confirm: 0 }],
];
/** What a browser asks for. */
const PAGES = ['/', '/batches/{id}', '/dead', '/find?deviceSn=00', '/audit', '/schedules', '/state', '/charts/pace'];

/** @param key - of the manifest that is posted */
function asked([route, more = '']: (typeof ROUTES)[number], id: string, key: string): Promise<Answered> {
  const [method = '', path = ''] = route.split(' ');
  const at = `${path}${typeof more === 'string' ? more : ''}`.replace('{id}', id).replace('{name}', 'fleet');
  if (route === 'POST /v1/batches') return submit(key);
  const as = path.endsWith('/approve') ? 'approver' : 'operator';
  const sent = typeof more === 'string' ? {} : { body: JSON.stringify(more), headers: json };
  return room.ask(at, { as, method, ...sent });
}

it('without Redis, every route says so, and continues when it is back', async () => {
  const first = await submit('before');
  const batch = String(first.json['batch']);
  proxy.down = true;
  const { json: document } = await room.ask('/openapi.json', { as: 'viewer' });
  expect(ROUTES.map(([route]) => route).toSorted()).toEqual(
    routesOf(document as unknown as OpenApiDocument).toSorted(),
  );
  const html = { accept: 'text/html' };
  const form = { ...html, 'content-type': 'application/x-www-form-urlencoded', origin: room.url };
  const [metrics, answers, pages] = await Promise.all([
    room.ask('/metrics', { as: 'viewer' }),
    Promise.all([
      ...ROUTES.filter(([route]) => route !== 'GET /metrics').map((route) => asked(route, batch, 'meanwhile')),
      room.ask('/v1/halts', { headers: { cookie: `certsweep_session=${'x'.repeat(43)}` } }),
    ]),
    Promise.all([
      ...PAGES.map((path) => room.ask(path.replace('{id}', batch), { as: 'viewer', headers: html })),
      room.ask('/login', { method: 'POST', body: `token=${TOKENS.viewer}`, headers: form }),
    ]),
  ]);
  expect(metrics).toMatchObject({ status: 200, text: expect.stringContaining('certsweep_redis_up 0') });
  for (const [at, { status, json: told }] of answers.entries()) {
    expect([at, [503, 504].includes(status)]).toEqual([at, true]);
    expect(told).toMatchObject({ title: expect.any(String), next: expect.any(String) });
  }
  for (const page of pages)
    expect(page).toMatchObject({ status: 503, text: expect.stringMatching(/^<!doctype html>/) });
  expect(JSON.stringify([answers, pages])).not.toContain(String((server.options as { password?: string }).password));
  expect(await room.ask('/livez')).toMatchObject({ status: 200 });
  expect(await room.ask('/readyz')).toMatchObject({ status: 503 });
  // Who has no token is told that, and not what is broken.
  expect(await room.ask('/v1/halts')).toMatchObject({ status: 401 });
  proxy.down = false;
  await ready();
  expect(await room.ask(`/v1/batches/${batch}`, { as: 'viewer' })).toMatchObject({
    status: 200,
    json: { state: 'running' },
  });
  expect(room.server.output()).not.toContain('http-defect');
});

describe('in the middle', () => {
  it('of each route, the answer says what is known, and of the decisive step the same key finds out', async () => {
    await ready();
    const batch = String((await submit('first')).json['batch']);
    const text = manifestOf(certificates(3, 9));
    proxy.delayMs = 150;
    // Only the activation has the answer in its arguments: with it, everything that is under way is lost.
    proxy.loseReply = {
      to: '"accepted":3',
      andThen: () => {
        proxy.down = true;
      },
    };
    // The stream of events goes on by itself.
    const others = ROUTES.filter(([route]) => route !== 'POST /v1/batches' && route !== 'GET /v1/events');
    const ask = async (route: (typeof ROUTES)[number]): Promise<{ route: string; answer: Answered | undefined }> => {
      // A report that has begun is cut, so that nobody takes the part for the whole.
      const answer = await asked(route, batch, '').catch((error: unknown) => {
        if (route[0].endsWith('/report')) return undefined;
        throw error;
      });
      return { route: route[0], answer };
    };
    // Some wait for their first reply then, some for the second, some for the third.
    const rounds = [0, 1, 2].map(async (replies) => {
      await delay(replies * proxy.delayMs);
      return Promise.all(others.map(ask));
    });
    const lost = await submit('decisive', text);
    const told = (await Promise.all(rounds)).flat();
    proxy.delayMs = 0;
    proxy.down = false;
    await ready();
    expect(room.server.output()).not.toContain('http-defect');
    for (const { route, answer } of told) {
      if (answer === undefined || answer.status < 400) continue;
      const { status, json: problem } = answer;
      const { title, next } = problem;
      expect({ route, status, title, next }).toEqual({
        route,
        status: expect.toSatisfy((one: number) => [409, 422, 503, 504].includes(one)),
        title: expect.any(String),
        next: expect.any(String),
      });
    }
    // What was answered by 503 was not done.
    const entries = await room.audit();
    for (const event of ['pause', 'resume', 'cancel', 'priority', 'pace', 'stop', 'start']) {
      const mayBeDone = told.filter(({ route, answer }) => route.endsWith(`/${event}`) && answer?.status !== 503);
      const done = entries.filter((entry) => entry.event === event);
      expect([event, done.length <= mayBeDone.length]).toEqual([event, true]);
    }
    expect(lost).toMatchObject({ status: 504, json: { batch: expect.any(String) } });
    await room.ask('/v1/start', { as: 'operator', method: 'POST', body: '{}', headers: json });
    const again = await submit('decisive', text);
    expect(again).toMatchObject({ status: 202, json: { state: 'running', batch: lost.json['batch'], accepted: 3 } });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    const submits = (await room.audit()).filter((entry) => entry.batch === lost.json['batch']);
    expect(submits.map(({ event }) => event)).toEqual(['submit']);
    expect(await room.run(['audit', '--verify'])).toMatchObject({ code: 0 });
  });

  it('of the manifest, nothing runs and nothing is left', async () => {
    await ready();
    const large = manifestOf(certificates(5_000, 10));
    const socket = connectTo(Number(new URL(room.url).port), '127.0.0.1');
    let heard = '';
    socket.setEncoding('utf8').on('data', (more: string) => (heard += more));
    socket.write(
      `POST /v1/batches?execute=true&confirm=5000 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKENS.producer}\r\ncontent-type: text/csv\r\ncontent-length: ${large.length}\r\n\r\n`,
    );
    socket.write(large.slice(0, large.length / 2));
    const redis = connect(server, 'producer', () => undefined);
    await expect.poll(() => redis.keys('{certsweep}:batch:*:chunks').then((keys) => keys.length)).toBeGreaterThan(0);
    proxy.down = true;
    proxy.cut();
    socket.write(large.slice(large.length / 2));
    await expect.poll(() => heard).toMatch(/^HTTP\/1\.1 503 [^]*"next"/);
    socket.destroy();
    proxy.down = false;
    await ready();
    const { json: all } = await room.ask('/v1/batches', { as: 'viewer' });
    expect((all['batches'] as { accepted: number }[]).map(({ accepted }) => accepted)).not.toContain(5_000);
    redis.disconnect();
  });
});
