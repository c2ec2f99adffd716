import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificates, manifestOf } from '../support/fleet.ts';
import { openHttpRoom, TOKENS, type Answered, type HttpRoom } from './http-room.ts';

let room: HttpRoom;
beforeAll(async () => {
  room = await openHttpRoom();
});
afterAll(() => room.remove());

const bearer = (as: keyof typeof TOKENS): string => `authorization: Bearer ${TOKENS[as]}`;

/** Sends these bytes and nothing else. @returns what comes back until the server, or the test, ends it */
async function raw(text: string, during?: (socket: Socket) => void): Promise<string> {
  const socket = connect(Number(new URL(room.url).port), '127.0.0.1');
  let heard = '';
  socket.setEncoding('utf8').on('data', (more: string) => (heard += more));
  socket.on('error', () => undefined);
  socket.write(text);
  during?.(socket);
  await new Promise((resolve) => socket.once('close', resolve));
  return heard;
}

async function batches(): Promise<unknown> {
  return (await room.ask('/v1/batches?limit=500', { as: 'viewer' })).json['batches'];
}

/** A manifest is on its way, and its plan in Redis. */
const head = (length: number): string =>
  `POST /v1/batches?execute=true&confirm=3 HTTP/1.1\r\nhost: localhost\r\n${bearer('producer')}\r\ncontent-type: text/csv\r\ncontent-length: ${length}\r\n\r\n`;

describe('a body', () => {
  const body = manifestOf(certificates(3, 1));

  it('that is cut off submits nothing: neither half closed, nor reset, nor in chunks', async () => {
    const before = await batches();
    expect(await raw(head(body.length) + body.slice(0, -5), (socket) => socket.end())).toMatch(/^(HTTP\/1\.1 400 |$)/);
    await raw(head(body.length) + body.slice(0, -5), (socket) => setTimeout(() => socket.resetAndDestroy(), 200));
    const chunked = head(0).replace(/content-length: 0/, 'transfer-encoding: chunked');
    const [first, last] = [body.slice(0, 20), body.slice(20)];
    const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
    expect(await raw(chunked + chunk(first) + chunk(last), (socket) => socket.end())).toMatch(/^(HTTP\/1\.1 400 |$)/);
    // Ends where a line does: only the framing tells that more was to come.
    const line = body.split('\n').slice(0, 2).join('\n');
    expect(await raw(head(body.length) + `${line}\n`, (socket) => socket.end())).toMatch(/^(HTTP\/1\.1 400 |$)/);
    expect(await batches()).toEqual(before);
    const redis = await room.redis();
    await expect.poll(() => redis.keys('{certsweep}:batch:*')).toEqual([]);
  });

  it('that is too large is refused before it is read, with what to do', async () => {
    const answer = await raw(head(2 ** 40), (socket) => setTimeout(() => socket.end(), 300));
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    const json = 'x'.repeat(70_000);
    const headers = { 'content-type': 'application/json' };
    const large = await room.ask('/v1/dead/retry', { as: 'operator', method: 'POST', body: json, headers });
    expect(large).toMatchObject({ status: 413, json: { next: expect.any(String) } });
  });

  it('of JSON is told what is wrong with it', async () => {
    const send = (text: string, type = 'application/json'): Promise<Answered> =>
      room.ask('/v1/dead/retry', { as: 'operator', method: 'POST', body: text, headers: { 'content-type': type } });
    for (const text of [
      '{',
      '[]',
      '"x"',
      'null',
      '{"all":"yes"}',
      '{"batch":{"$gt":""}}',
      '{"__proto__":{"all":true}}',
      '{"unheard":1}',
    ])
      expect([text, (await send(text)).status]).toEqual([text, 400]);
    expect(await send('{"all":true}', 'text/plain')).toMatchObject({ status: 400 });
    expect(await send('')).toMatchObject({ status: 400, json: { detail: expect.stringContaining('which') } });
    expect(await send('{"all":true,"code":"x"}')).toMatchObject({ status: 400 });
    expect(await send('{"all":true}')).toMatchObject({ status: 200, json: { isDone: false, letters: 0 } });
  });
});

it('heads without end, or that are none, are answered and closed', async () => {
  const many = Array.from({ length: 100_000 }, (_, at) => `x-${at}: y`).join('\r\n');
  expect(await raw(`GET /v1/halts HTTP/1.1\r\nhost: localhost\r\n${many}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
  const long = await raw(`GET /v1/halts HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
  expect(long).toMatch(/^HTTP\/1\.1 431 [^]*"next"/);
  expect(await raw('hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [^]*application\/problem\+json/);
  expect(await raw('GET /livez HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  // Two lengths, as smugglers send them.
  const smuggled = head(5).replace('\r\n\r\n', '\r\ntransfer-encoding: chunked\r\n\r\n');
  expect(await raw(`${smuggled}0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
  expect(
    await raw(`GET http://evil.example.com/v1/halts HTTP/1.1\r\nhost: evil.example.com\r\n\r\n`, (s) => s.end()),
  ).toMatch(/^HTTP\/1\.1 421 /);
});

it('paths and cursors that nobody gave lead nowhere', async () => {
  const paths: readonly (readonly [path: string, status: number])[] = [
    ['/v1/batches/..%2f..%2fetc%2fpasswd', 400],
    ['/v1/batches/%00', 400],
    ['/v1/batches/%ff', 400],
    ['/v1/batches/{certsweep}:audit', 400],
    [`/v1/batches/${'a'.repeat(5_000)}`, 400],
    ['/v1/batches/none', 404],
    ['/v1/batches/none/report', 404],
    ['/v1//batches', 404],
    ['/v1/batches/', 404],
    ['/v2/batches', 404],
    ['/V1/BATCHES', 404],
    ['/v1/batches?cursor=x', 400],
    ['/v1/batches?cursor=1e9.a', 400],
    ['/v1/batches?cursor=99999999999999.zzz', 200],
    ['/v1/batches?limit=0', 400],
    ['/v1/batches?limit=501', 400],
    ['/v1/batches?limit=NaN', 400],
    ['/v1/batches?limit=1&limit=2', 400],
    ['/v1/audit?cursor=-', 400],
    ['/v1/audit?cursor=999999999999999-0', 200],
    ['/v1/audit?since=yesterday', 400],
    ['/v1/certificates', 400],
    ['/v1/certificates?deviceSn=', 400],
    ['/v1/certificates?deviceSn=%F0%9F%92%A3', 200],
    ['/v1/events?batch=none', 404],
    ['/v1/accounts/__proto__', 404],
  ];
  for (const [path, status] of paths) {
    const answer = await room.ask(path, { as: 'viewer' });
    expect([path, answer.status]).toEqual([path, status]);
    expect([path, typeof answer.json['detail']]).toEqual([path, status < 400 ? 'undefined' : 'string']);
  }
  expect(await room.ask('/v1/halts', { as: 'viewer', method: 'DELETE' })).toMatchObject({ status: 404 });
});

it('lists page by page, each batch once, also those of one moment', async () => {
  const redis = await room.redis();
  const ids = Array.from({ length: 7 }, (_, at) => `20260101-000000-${at}`);
  for (const id of ids) {
    await redis.hset(`{certsweep}:batch:${id}`, { state: 'completed', accepted: 0, submittedAt: 1 });
    await redis.zadd('{certsweep}:batches', id.endsWith('6') ? 2 : 1, id);
  }
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const next = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const { json } = await room.ask(`/v1/batches?limit=2${next}`, { as: 'viewer' });
    seen.push(...(json['batches'] as { batch: string }[]).map(({ batch }) => batch));
    cursor = json['next'] as string | undefined;
  } while (cursor !== undefined);
  expect(seen).toEqual(ids.toReversed());
});

describe('events', () => {
  const BATCH = '20260102-000000-followed';

  async function follow(last?: string): Promise<Response> {
    const headers = { authorization: `Bearer ${TOKENS.viewer}`, ...(last !== undefined && { 'last-event-id': last }) };
    return fetch(`${room.url}/v1/events?batch=${BATCH}`, { headers });
  }

  it('tell each change once, continue after the last that was heard, and end when the batch is done', async () => {
    const redis = await room.redis();
    const record = `{certsweep}:batch:${BATCH}`;
    await redis.hset(record, { state: 'running', accepted: 2, submittedAt: 1 });
    const first = await follow();
    expect(first.headers.get('content-type')).toMatch(/^text\/event-stream/);
    let heard = '';
    let last: string | undefined;
    for await (const piece of first.body ?? []) {
      heard += Buffer.from(piece as Uint8Array).toString();
      last = /id: (\S+)/.exec(heard)?.[1];
      if (last !== undefined) break;
    }
    expect(heard).toContain('"pending":2');
    const second = await follow(last);
    await redis.hset(record, { state: 'completed', revoked: 2, completedAt: 2 });
    const rest = await second.text();
    expect(rest).not.toContain('"pending":2');
    expect(rest.match(/event: progress/g)).toHaveLength(1);
    expect(rest).toMatch(/"pending":0[^]*event: done/);
    const end = /id: (\S+)\nevent: done/.exec(rest)?.[1];
    // A browser that comes again is told that there is nothing more.
    expect((await follow(end)).status).toBe(204);
  });

  it('that nobody reads hold nobody else up', async () => {
    const redis = await room.redis();
    await redis.hset(`{certsweep}:batch:${BATCH}`, { state: 'running', accepted: 2, revoked: 0 });
    const sockets = Array.from({ length: 30 }, () => {
      const socket = connect(Number(new URL(room.url).port), '127.0.0.1').pause();
      socket.on('error', () => undefined);
      socket.write(`GET /v1/events?batch=${BATCH} HTTP/1.1\r\nhost: localhost\r\n${bearer('viewer')}\r\n\r\n`);
      return socket;
    });
    expect(await room.ask('/v1/batches', { as: 'viewer' })).toMatchObject({ status: 200 });
    for (const socket of sockets) socket.destroy();
  });
});

it('after all of this, it is there and well', async () => {
  expect(await room.ask('/livez')).toMatchObject({ status: 200 });
  expect(room.server.output()).not.toContain('http-defect');
});
