import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ACTIVATE } from '../../../src/ledger/batch-scripts.lua.ts';
import type { Batch } from '../../../src/ledger/batch-record.ts';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { KEY_PREFIX } from '../../../src/queue/contract.ts';
import { certificates, openFleet, type Fleet } from '../../support/fleet.ts';
import { startRedisProxy, type RedisProxy } from '../../support/redis-proxy.ts';

/** Three chunks: an undo can be stored in part. */
const ITEMS = certificates(2_500);

let fleet: Fleet;
let proxy: RedisProxy;
beforeAll(async () => {
  fleet = await openFleet({ sandbox: { registry: ITEMS }, settings: { limiter: { lateMs: 200 } } });
  await fleet.holdRedis();
  const { path = '' } = (await fleet.redis()).options;
  proxy = await startRedisProxy(path);
});
afterAll(async () => {
  await fleet.remove();
  await proxy.close();
});

it('an undo that is killed in whatever phase activates all or nothing, and can be asked for again', async () => {
  const redis = await fleet.redis();
  const ledger = new Ledger(redis, KEY_PREFIX);
  const settings = JSON.parse(await readFile(join(fleet.folder, 'certsweep.yaml'), 'utf8')) as object;
  const url = `redis://:${redis.options.password ?? ''}@127.0.0.1:${proxy.port}`;
  const through = { env: { CERTSWEEP_CONFIG: await fleet.configure({ ...settings, redis: { url } }, 'through.yaml') } };
  const undos = async (): Promise<Batch[]> =>
    (await ledger.batches.all()).filter(({ action }) => action === 'activate');
  const chunksOf = async (batch: Batch | undefined): Promise<number> =>
    redis.hlen(ledger.keys.of(batch?.id ?? '').chunks);

  let worker = await fleet.startWorker();
  const batch = await fleet.submit(ITEMS, '--action', 'inactivate');
  expect(await fleet.settled(batch)).toMatchObject({ inactivated: ITEMS.length });
  worker.kill('SIGKILL');
  await worker.ended;
  const command = ['undo', batch, '--execute', '--confirm', String(ITEMS.length), '--json'];

  const killed = async (arm: (kill: () => void) => void): Promise<void> => {
    const running = fleet.start(command, through);
    arm(() => running.kill('SIGKILL'));
    expect(await running.ended).toMatchObject({ signal: 'SIGKILL', stdout: '' });
  };
  const killedBefore = (text: string): Promise<void> =>
    killed((andThen) => {
      proxy.stopBefore = { text, andThen };
    });
  const activation = createHash('sha1').update(ACTIVATE).digest('hex');
  await redis.script('LOAD', ACTIVATE);

  // Before it has looked, and while it reads what became of the batch.
  await killedBefore('');
  await killedBefore(ledger.keys.of(batch).ledger);
  // Before anything is stored.
  await killedBefore('planned');
  expect(await undos()).toEqual([]);
  // Stored in part, and whole.
  await killedBefore(':chunks\r\n$1\r\n1\r\n$');
  expect((await undos()).map(({ state }) => state)).toEqual(['planned']);
  expect(await chunksOf((await undos())[0])).toBe(1);
  await killedBefore(activation);
  const plans = await undos();
  expect(plans.map(({ state }) => state)).toEqual(['planned', 'planned']);
  expect(await chunksOf(plans[0])).toBe(3);
  const asked = await fleet.run(['undo', batch, '--json']);
  expect(JSON.parse(asked.stdout)).toMatchObject({ accepted: ITEMS.length, undoneBy: [] });

  // It runs, and nobody has heard so. Asked for again, it is the same.
  await killed((andThen) => {
    proxy.loseReply = { to: activation, andThen };
  });
  const [undo, ...more] = (await undos()).filter(({ state }) => state !== 'planned');
  expect(undo).toMatchObject({ state: 'running', counts: { accepted: ITEMS.length } });
  expect(more).toEqual([]);
  const again = await fleet.run(command);
  expect(JSON.parse(again.stdout)).toMatchObject({ batch: undo?.id, accepted: 0, duplicates: ITEMS.length });

  worker = await fleet.startWorker();
  expect(await fleet.settled(undo?.id ?? '')).toMatchObject({ activated: ITEMS.length, dead: 0 });
  expect(fleet.sandbox.seen().byOperation).toMatchObject({ ActiveDeviceCertificate: ITEMS.length });
  const states = [...fleet.sandbox.registryLines()].map(
    (line) => JSON.parse(line) as { deviceSn?: string; status: string },
  );
  expect(states.filter(({ deviceSn, status }) => deviceSn !== undefined && status !== 'active')).toEqual([]);
  // What was stored and never ran goes away by itself.
  for (const { id } of plans) {
    expect(await ledger.batches.find(id)).toMatchObject({ state: 'planned' });
    for (const key of Object.values(ledger.keys.of(id)).filter((one) => typeof one === 'string'))
      expect(await redis.ttl(key)).not.toBe(-1);
  }
  const told = await fleet.run(['undo', batch]);
  expect(told.stderr.replaceAll(/\s+/g, ' ')).toContain(
    `Batch ${undo?.id ?? ''} undoes it already: completed, 2,500 certificates active.`,
  );
}, 300_000);
