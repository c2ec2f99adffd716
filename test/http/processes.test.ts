import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { certificates, manifestOf } from '../support/fleet.ts';
import { askFor, openHttpRoom, TOKENS, type HttpRoom } from './http-room.ts';

let room: HttpRoom;
beforeAll(async () => {
  room = await openHttpRoom();
});
afterAll(() => room.remove());

it('a process that dies while it reads leaves no batch, and its key is free again when its claim runs out', async () => {
  const { url, server } = await room.serve();
  const body = manifestOf(certificates(3, 40));
  const headers = {
    authorization: `Bearer ${TOKENS.producer}`,
    'content-type': 'text/csv',
    'idempotency-key': 'dying',
  };
  const sent = request(`${url}/v1/batches?execute=true&confirm=3`, { method: 'POST', headers });
  sent.on('error', () => undefined);
  sent.write(body.slice(0, 40));
  const redis = await room.redis();
  let claim: string | undefined;
  await expect.poll(async () => ([claim] = await redis.keys('*idempotency*')).length).toBe(1);
  server.kill('SIGKILL');
  await server.ended;
  const again = (): ReturnType<HttpRoom['ask']> =>
    room.ask('/v1/batches?execute=true&confirm=3', {
      as: 'producer',
      method: 'POST',
      body,
      headers: { 'content-type': 'text/csv', 'idempotency-key': 'dying' },
    });
  expect(await again()).toMatchObject({ status: 409 });
  // Not waited for: within 30 s it runs out by itself.
  expect(await redis.pttl(claim ?? '')).toBeLessThanOrEqual(30_000);
  await redis.pexpire(claim ?? '', 1);
  await expect.poll(async () => (await again()).status).toBe(202);
  const { json } = await room.ask('/v1/batches', { as: 'viewer' });
  expect(json['batches']).toHaveLength(1);
});

it('leaves when it is told to, within seconds, also while somebody follows a batch', async () => {
  const { url, server } = await room.serve();
  const { json } = await room.ask('/v1/batches', { as: 'viewer' });
  const [{ batch } = { batch: '' }] = json['batches'] as { batch: string }[];
  const headers = { authorization: `Bearer ${TOKENS.viewer}` };
  const followed = await fetch(`${url}/v1/events?batch=${batch}`, { headers });
  const ending = followed.text().catch(() => 'cut');
  server.kill('SIGTERM');
  expect(await server.ended).toMatchObject({ code: 0 });
  await ending;
});

it('a worker serves as well, and is seen to work', async () => {
  const worker = room.start(['worker', '--serve', '--json-logs']);
  await worker.says('"event":"serve-started"');
  const url = /"url":"([^"]+?)\/"/.exec(worker.output())?.[1] ?? '';
  const attended = async (): Promise<unknown> => {
    const { json } = await askFor(`${url}/v1/accounts`, { as: 'viewer' });
    return (json['accounts'] as { isAttended: boolean }[]).map(({ isAttended }) => isAttended);
  };
  await expect.poll(attended).toEqual([true]);
  worker.kill('SIGTERM');
  expect(await worker.ended).toMatchObject({ code: 0 });
});
