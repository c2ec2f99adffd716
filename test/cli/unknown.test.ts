import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProducer, SubmissionUnknown, type Certificate, type Producer } from '../../src/index.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { ACTIVATE } from '../../src/ledger/batch-scripts.lua.ts';
import { ADOPT } from '../../src/ledger/adopt-script.lua.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import type { Ended } from '../support/command.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { openInstallation, settingsOf, type Installation } from '../support/installation.ts';
import { startRedisProxy, type RedisProxy } from '../support/redis-proxy.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';

let server: TestRedis;
/** Past every proxy. */
let redis: Redis;
let ledger: Ledger;
beforeAll(async () => {
  server = await startTestRedis();
  redis = connect(server, 'producer', () => undefined);
  ledger = new Ledger(redis, KEY_PREFIX);
  // So that a script's first call runs it, and is not told to send it whole.
  for (const lua of [ACTIVATE, ADOPT]) await redis.script('LOAD', lua);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

interface Stage {
  readonly place: Installation;
  readonly proxy: RedisProxy;
  readonly producer: Producer;
  /** The reply to what is sent with this text is lost after Redis has done it, and from then on Redis is away. */
  readonly loseReplyTo: (text: string) => void;
}

/** The tests run beside each other, since each waits for a client to give up. */
async function staged(use: (stage: Stage) => Promise<void>): Promise<void> {
  const { path = '', password = '' } = server.options;
  const proxy = await startRedisProxy(path);
  const url = `redis://:${password}@127.0.0.1:${proxy.port}`;
  const place = await openInstallation(settingsOf(undefined, { redis: { url } }));
  const producer = await createProducer({ config: join(place.folder, 'certsweep.yaml') });
  const goDown = (): void => {
    proxy.down = true;
  };
  try {
    await use({ place, proxy, producer, loseReplyTo: (to) => (proxy.loseReply = { to, andThen: goDown }) });
  } finally {
    await producer.close();
    await place.remove();
    await proxy.close();
  }
}

const sha = (lua: string): string => createHash('sha1').update(lua).digest('hex');
const failureOf = (submitted: Promise<unknown>): Promise<unknown> => submitted.catch((error: unknown) => error);
const [FIRST, SECOND, THIRD] = certificates(3) as [Certificate, Certificate, Certificate];

describe.concurrent('when the reply to a submission is lost', () => {
  it('the command says that the outcome is unknown; the batch runs, and the manifest finds it again', () =>
    staged(async ({ place, proxy, loseReplyTo }) => {
      const manifest = await place.file('manifest.csv', manifestOf([FIRST, SECOND]));
      const submit = (): Promise<Ended> => place.run(['submit', manifest, '--execute', '--yes', '--json']);
      loseReplyTo(sha(ACTIVATE));
      const ended = await submit();
      expect(ended.code).toBe(4);
      const { batch } = JSON.parse(ended.stdout) as { batch: string };
      expect(ended.stdout).toBe(
        `{"batch":"${batch}","action":"delete","accepted":null,"duplicates":null,"rejected":0,"outcome":"unknown"}\n`,
      );
      expect(ended.stderr).toContain(`Redis did not answer whether batch ${batch} runs: `);
      expect(ended.stderr).toContain(
        `certsweep status ${batch} shows whether it does, certsweep cancel ${batch} ends it.`,
      );
      expect(await ledger.batches.find(batch)).toMatchObject({ state: 'running', counts: { accepted: 2 } });

      proxy.down = false;
      const duplicate = {
        code: 0,
        stdout: `{"batch":"${batch}","action":"delete","accepted":0,"duplicates":2,"rejected":0}\n`,
      };
      expect(await submit()).toMatchObject(duplicate);
      await ledger.batches.change(batch, 'pause');
      expect(await submit()).toMatchObject(duplicate);
    }));

  it('the command that waits says so too when Redis goes away meanwhile', () =>
    staged(async ({ place, proxy }) => {
      const manifest = await place.file('manifest.csv', manifestOf([THIRD]));
      const waiting = place.start(['submit', manifest, '--execute', '--yes', '--wait', '--json']);
      await waiting.says('0 of 1');
      proxy.down = true;
      const ended = await waiting.ended;
      expect(ended.code).toBe(4);
      const { batch } = JSON.parse(ended.stdout) as { batch: string };
      expect(ended.stderr).toContain(`Batch ${batch} keeps running, but Redis does not answer: `);
    }));

  it.each([
    ['certificates', ACTIVATE, [SECOND, THIRD]],
    ['a single certificate', ADOPT, FIRST],
  ] as const)('the library says which batch %s may be in', (_, lua, input) =>
    staged(async ({ proxy, producer, loseReplyTo }) => {
      loseReplyTo(sha(lua));
      const failure = await failureOf(producer.submit(input));
      expect(failure).toBeInstanceOf(SubmissionUnknown);
      const { batch } = failure as SubmissionUnknown;
      expect((await ledger.batches.find(batch))?.state).toBe('running');
      proxy.down = false;
      expect(await producer.submit(input)).toMatchObject({ batch, accepted: 0 });
    }),
  );

  it('a submission is accepted where Redis is back at once', () =>
    staged(async ({ proxy, producer }) => {
      proxy.loseReply = { to: sha(ACTIVATE) };
      const { batch, accepted } = await producer.submit([FIRST, THIRD]);
      expect(proxy.loseReply).toBeUndefined();
      expect(accepted).toBe(2);
      expect(await ledger.batches.find(batch ?? '')).toMatchObject({ state: 'running', counts: { accepted: 2 } });
    }));

  it('a single certificate is accepted once the ledger has it, whatever becomes of its job', () =>
    staged(async ({ producer, loseReplyTo }) => {
      loseReplyTo(`${KEY_PREFIX}:fleet:`);
      expect(await producer.submit(SECOND)).toMatchObject({ batch: 'direct-fleet', accepted: 1 });
      expect([...(await ledger.direct.jobs('direct-fleet'))].length).toBeGreaterThan(0);
    }));
});

describe.concurrent('nothing is accepted', () => {
  it('where Redis is gone before the batch is to run', () =>
    staged(async ({ producer, loseReplyTo }) => {
      // The last write of a plan.
      loseReplyTo(':lanes');
      const failure = await failureOf(producer.submit([FIRST, SECOND, THIRD]));
      expect(failure).toBeInstanceOf(Error);
      expect(failure).not.toBeInstanceOf(SubmissionUnknown);
      expect((await ledger.batches.all()).filter(({ state }) => state === 'planned')).toHaveLength(1);
    }));

  it('where Redis is away from the start', () =>
    staged(async ({ proxy, producer }) => {
      proxy.down = true;
      // Until its client has noticed, a command may be on its way.
      await failureOf(producer.status('x'));
      for (const input of [FIRST, [FIRST]]) {
        const failure = await failureOf(producer.submit(input));
        expect(failure).toBeInstanceOf(Error);
        expect(failure).not.toBeInstanceOf(SubmissionUnknown);
      }
    }));
});
