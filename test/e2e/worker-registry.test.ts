import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProducer, KEY_PREFIX, NewerLayout } from '../../src/index.ts';
import { LAYOUT_VERSION } from '../../src/ledger/layout.ts';
import { certificates, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE, KEY_ENV } from '../support/installation.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await openFleet();
  await fleet.holdRedis();
});
afterEach(() => fleet.remove());

/** A configuration that calls the same cloud account by another name. */
async function renamed(): Promise<{ readonly CERTSWEEP_CONFIG: string }> {
  const account = { endpoint: fleet.sandbox.url, instances: ['post-cn-other', INSTANCE], credentials: KEY_ENV };
  return { CERTSWEEP_CONFIG: await fleet.configure({ accounts: { renamed: account } }, 'renamed.yaml') };
}

describe('two names for one instance', () => {
  it('a worker refuses to start beside one that uses the other name, and starts when that one has left', async () => {
    const first = await fleet.startWorker();
    const beside = await fleet.startWorker();
    const env = await renamed();
    const refused = await fleet.run(['worker'], { env });
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain(
      `The instance ${INSTANCE} belongs to account renamed here, and to account fleet for the worker on `,
    );
    expect(refused.stderr).toContain('stop all workers that call it fleet');
    expect(refused.stderr).not.toContain('worker-started');

    for (const worker of [first, beside]) {
      worker.kill('SIGTERM');
      expect(await worker.ended).toMatchObject({ code: 0 });
    }
    await fleet.startWorker({ env });
  });

  it('of two that start at once only one does', async () => {
    const env = await renamed();
    const both = [fleet.start(['worker']), fleet.start(['worker'], { env })];
    const first = await Promise.race(both.map((worker) => worker.ended));
    expect(first.code).toBe(3);
    expect(first.stderr).toContain('Two names for one cloud account');
    await Promise.any(both.map((worker) => worker.says('"worker-started"')));
  });

  it('a worker that stood still while the other name came leaves', async () => {
    const first = await fleet.startWorker();
    first.kill('SIGSTOP');
    // As it is when its word is too old.
    await (await fleet.redis()).del(`${KEY_PREFIX}:workers`);
    await fleet.startWorker({ env: await renamed() });
    first.kill('SIGCONT');
    const ended = await first.ended;
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('"worker-stopped"');
    expect(ended.stderr).toContain('belongs to account fleet here, and to account renamed for the worker on ');
  });
});

describe('a newer layout of the keys', () => {
  it('ends a worker that runs, and every command says so and leaves', async () => {
    const worker = await fleet.startWorker();
    const redis = await fleet.redis();
    expect(await redis.get(`${KEY_PREFIX}:layout`)).toBe(`${LAYOUT_VERSION}`);
    await redis.set(`${KEY_PREFIX}:layout`, LAYOUT_VERSION + 1);
    const says = `its keys have layout ${LAYOUT_VERSION + 1}, this version knows ${LAYOUT_VERSION} and older. Install the newer version on this host too.`;
    const ended = await worker.ended;
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('"worker-stopped"');
    expect(ended.stderr).toContain(says);
    const manifest = await fleet.file('late.csv', manifestOf(certificates(3)));
    const commands = [
      ['worker'],
      ['status'],
      ['submit', manifest, '--execute', '--yes'],
      ['doctor'],
      ['report', 'a-batch'],
      ['dead', 'list'],
      ['pause', 'a-batch'],
    ];
    for (const command of commands) {
      const { code, stderr } = await fleet.run(command);
      expect([command[0], code, stderr]).toEqual([command[0], 3, expect.stringContaining(says)]);
    }
    const config = join(fleet.folder, 'certsweep.yaml');
    await expect(createProducer({ config })).rejects.toThrow(NewerLayout);
    expect(await redis.get(`${KEY_PREFIX}:layout`)).toBe(`${LAYOUT_VERSION + 1}`);
    expect(fleet.sandbox.seen().calls).toBe(0);
  });
});
