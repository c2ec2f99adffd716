import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { certificates, openFleet, type Fleet, type FleetOptions } from '../support/fleet.ts';
import { INSTANCE, KEY_ENV } from '../support/installation.ts';
import { startSingle } from '../support/redis-topology.ts';
import { leaksIn } from '../support/secrecy.ts';

let fleet: Fleet;
afterEach(() => fleet.remove());

const KEY = {
  accessKeyId: 'LTAI5tSecrecyKeyId001',
  accessKeySecret: 'sEcReCy/Secret+With=Signs&30Chars',
  securityToken: 'CAIS-secrecy-token/with+signs==',
};
/** What prints whole requests in the libraries below. */
const NOISY = { DEBUG: '*', NODE_DEBUG: '' };

async function openSecretFleet(options: FleetOptions): Promise<Fleet> {
  const opened = await openFleet({
    sandbox: { accounts: [{ ...KEY, instances: [INSTANCE] }], ...options.sandbox },
    settings: { log: { level: 'trace' }, callDeadlineMs: 1_000, breaker: { maxDeadShare: 1 } },
  });
  await opened.configure({
    log: { level: 'trace' },
    callDeadlineMs: 1_000,
    retry: { attempts: 3, baseMs: 50, capMs: 200 },
    breaker: { maxDeadShare: 1 },
    accounts: {
      fleet: {
        endpoint: opened.sandbox.url,
        instances: [INSTANCE],
        credentials: { ...KEY_ENV, securityTokenEnv: 'FLEET_TOKEN' },
      },
    },
  });
  return opened;
}

const environment = (key = KEY) => ({
  ...NOISY,
  FLEET_KEY_ID: key.accessKeyId,
  FLEET_KEY_SECRET: key.accessKeySecret,
  FLEET_TOKEN: key.securityToken,
});

function expectNoSecret(what: string, text: string, more: readonly string[] = []): void {
  expect(leaksIn(text, [...Object.values(KEY), ...more]).map((leak) => `${what} holds ${leak}`)).toEqual([]);
}

/** Every command that Redis has taken since it began, jobs and ledger and all: its append-only file. */
async function everythingRedisTook(): Promise<string> {
  const folder = join(fleet.dataDir, 'redis');
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && entry.name !== 'password');
  const texts = await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')));
  return texts.join('\n');
}

describe('no secret leaves a worker', () => {
  it('in a run with every kind of fault, with all of the debug output there is', async () => {
    fleet = await openSecretFleet({
      sandbox: {
        plan: {
          seed: 3,
          faults: [
            { kind: 'code', code: 'ParameterFieldCheckFailed', share: 0.1, times: 'always' },
            { kind: 'code', code: 'InvalidSecurityToken.Expired', share: 0.05 },
            { kind: 'html', share: 0.1, times: 'always' },
            { kind: 'empty', share: 0.05 },
            { kind: 'no-code', share: 0.05 },
            { kind: 'wrong-echo', share: 0.05 },
            { kind: 'reset-before', share: 0.1, times: 'always' },
            { kind: 'hang', share: 0.02 },
            { kind: 'throttle', retryAfterMs: 50, share: 0.02 },
          ],
        },
      },
    });
    const worker = await fleet.startWorker({ env: environment() });
    const commandLine = await readFile(`/proc/${worker.pid}/cmdline`, 'latin1');
    const batch = await fleet.submit(certificates(150));
    const { dead } = await fleet.settled(batch);
    expect(dead).toBeGreaterThan(0);
    const shown = await Promise.all(
      [
        ['status', batch],
        ['report', batch],
        ['dead', 'list', '--json'],
      ].map((args) => fleet.run(args, { env: environment() })),
    );
    worker.kill('SIGTERM');
    const { code, stdout, stderr } = await worker.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toContain('"settled"');
    const password = await readFile(join(fleet.dataDir, 'redis', 'password'), 'utf8');
    const redis = await everythingRedisTook();
    // The look itself must see what is there.
    expect(redis).toContain('ParameterFieldCheckFailed');
    for (const [what, text] of [
      ['the command line', commandLine],
      ['the log', stderr],
      ['Redis', redis],
      ...shown.map((ended, at): [string, string] => [`command ${at}`, ended.stdout + ended.stderr]),
    ] as [string, string][]) {
      // Redis' own folder has its password, in a file that only its user may read.
      expectNoSecret(what, text, what === 'Redis' ? [] : [password.trim()]);
    }
  });

  it('nor the password in a Redis URL, whether it is right or wrong, and also where the connection breaks', async () => {
    const password = 'rEdIs/Secret+Password=1';
    const other = 'oThEr/Secret+Password=2';
    const single = await startSingle();
    try {
      await single.client.config('SET', 'requirepass', password);
      fleet = await openSecretFleet({});
      const reachedWith = (secret: string): Record<string, string> => ({
        ...environment(),
        CERTSWEEP_REDIS_URL: `redis://:${encodeURIComponent(secret)}@127.0.0.1:${single.port}`,
      });
      const worker = await fleet.startWorker({ env: reachedWith(password) });
      await single.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await worker.says('"redis-connection"');
      const commands = [['doctor'], ['status'], ['worker']].flatMap((args) =>
        args[0] === 'worker'
          ? [[args, other] as const]
          : ([
              [args, password],
              [args, other],
            ] as const),
      );
      for (const [args, secret] of commands) {
        const { stdout, stderr } = await fleet.run(args, { env: reachedWith(secret) });
        expectNoSecret(`certsweep ${args[0]}`, stdout + stderr, [password, other]);
      }
      worker.kill('SIGTERM');
      const { stderr } = await worker.ended;
      // DEBUG was heard.
      expect(stderr).not.toContain('ioredis:');
      expectNoSecret('the log', stderr, [password]);
    } finally {
      await single.stop();
    }
  });

  it('when the credentials are wrong, though the refusal repeats what was signed', async () => {
    fleet = await openSecretFleet({});
    const wrong = { ...KEY, accessKeySecret: `${KEY.accessKeySecret}x` };
    const worker = await fleet.startWorker({ env: environment(wrong) });
    const batch = await fleet.submit(certificates(20));
    await worker.says('"halted"');
    const status = await vi.waitFor(async () => {
      const look = await fleet.run(['status', batch], { env: environment(wrong) });
      expect(look.code).toBe(3);
      return look;
    }, 60_000);
    expect(status.stdout).toContain('SignatureDoesNotMatch');
    worker.kill('SIGTERM');
    const { stderr } = await worker.ended;
    expectNoSecret('the log', stderr);
    expectNoSecret('status', status.stdout + status.stderr);
    expectNoSecret('Redis', await everythingRedisTook());
  });
});
