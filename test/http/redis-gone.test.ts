import { connect as connectTo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/runtime/redis/connection.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { startRedisProxy, type RedisProxy } from '../support/redis-proxy.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
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
  await expect.poll(async () => (await room.ask('/readyz')).status, { timeout: 20_000, interval: 200 }).toBe(200);
}

it('without Redis, every route says so, and goes on when it is back', async () => {
  const first = await submit('before');
  const batch = String(first.json['batch']);
  proxy.down = true;
  proxy.cut();
  const reads = ['/v1/batches', `/v1/batches/${batch}`, `/v1/batches/${batch}/report`, `/v1/batches/${batch}/dead`];
  const looks = [`/v1/events?batch=${batch}`, '/v1/halts', '/v1/accounts', '/v1/audit', '/v1/certificates?deviceSn=00'];
  const changes = ['pause', 'resume', 'cancel'].map((name) => `/v1/batches/${batch}/${name}`);
  const [certificate] = certificates(1, 8);
  const posts: readonly (readonly [path: string, body: string])[] = [
    ...[...changes, '/v1/stop', '/v1/start'].map((path) => [path, '{}'] as const),
    ['/v1/dead/retry', '{"all":true}'],
    ['/v1/certificates', JSON.stringify(certificate)],
  ];
  const answers = await Promise.all([
    ...[...reads, ...looks].map((path) => room.ask(path, { as: 'operator' })),
    ...posts.map(([path, text]) => room.ask(path, { as: 'operator', method: 'POST', body: text, headers: json })),
    submit('meanwhile'),
    room.ask('/v1/halts', { headers: { cookie: `certsweep_session=${'x'.repeat(43)}` } }),
  ]);
  for (const { status, json: told } of answers) {
    expect([503, 504]).toContain(status);
    expect(told).toMatchObject({ title: expect.any(String), next: expect.any(String) });
  }
  expect(JSON.stringify(answers)).not.toContain(String((server.options as { password?: string }).password));
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
  it('of the decisive step, the same key finds out: it runs once', async () => {
    await ready();
    const text = manifestOf(certificates(3, 9));
    // Only the activation has the answer in its arguments.
    proxy.loseReply = {
      to: '"accepted":3',
      andThen: () => {
        proxy.down = true;
      },
    };
    const lost = await submit('decisive', text);
    expect(lost).toMatchObject({ status: 504, json: { batch: expect.any(String) } });
    proxy.down = false;
    await ready();
    const again = await submit('decisive', text);
    expect(again).toMatchObject({ status: 202, json: { state: 'running', batch: lost.json['batch'], accepted: 3 } });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    const submits = (await room.audit()).filter(({ batch }) => batch === lost.json['batch']);
    expect(submits.map(({ event }) => event)).toEqual(['submit']);
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
    await expect.poll(() => heard, { timeout: 20_000 }).toMatch(/^HTTP\/1\.1 503 [^]*"next"/);
    socket.destroy();
    proxy.down = false;
    await ready();
    const { json: all } = await room.ask('/v1/batches', { as: 'viewer' });
    expect((all['batches'] as { accepted: number }[]).map(({ accepted }) => accepted)).not.toContain(5_000);
    redis.disconnect();
  });
});
