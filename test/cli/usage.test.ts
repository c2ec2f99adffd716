import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INSTANCE, KEY_ENV, openInstallation, settingsOf, type Installation } from '../support/installation.ts';

let place: Installation;
beforeAll(async () => {
  place = await openInstallation();
});
afterAll(() => place.remove());

const COMMANDS = [
  [],
  ...['submit', 'worker', 'status', 'report', 'dead', 'pause', 'resume', 'cancel', 'doctor', 'sandbox', 'demo'].map(
    (name) => [name],
  ),
  ...['list', 'retry', 'discard'].map((name) => ['dead', name]),
];

describe('help', () => {
  it('is there for every command', async () => {
    for (const args of COMMANDS) {
      const ended = await place.run([...args, '--help']);
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toMatch(new RegExp(`^Usage: ${['certsweep', ...args].join(' ')} `));
      expect(ended.stdout).not.toContain('\u001B');
    }
  });

  it('tells the version', async () => {
    expect(await place.run(['--version'])).toMatchObject({ code: 0, stdout: '0.1.0\n', stderr: '' });
  });
});

describe('a wrong command line ends with 2', () => {
  it.each([
    ['an unknown option', ['status', '--nonsense'], "unknown option '--nonsense'"],
    ['an unknown command', ['nonsense'], "unknown command 'nonsense'"],
    ['no command', [], 'Usage: certsweep'],
    ['a missing argument', ['report'], "missing required argument 'batch'"],
    ['an argument too many', ['status', 'one', 'two'], 'too many arguments'],
    [
      'a registry that is not there',
      ['sandbox', '--registry', 'gone.csv'],
      '--registry gone.csv cannot be read (ENOENT)',
    ],
    ['a choice that there is not', ['report', 'x', '--outcome', 'lost'], 'Allowed choices are revoked, already-gone,'],
  ])('%s', async (_, args, words) => {
    const ended = await place.run(args);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(words);
  });
});

describe('a wrong configuration ends with 2', () => {
  it('and every fault is told with its path, value and remedy', async () => {
    const path = await place.configure(
      settingsOf(undefined, { egress: { qps: 300 }, notFoundd: 'dead', retry: { attempts: 0 } }),
      'wrong.yaml',
    );
    const ended = await place.run(['status', '--config', path]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    for (const words of [
      'egress.qps',
      '300',
      'raisedLimit: true',
      'retry.attempts',
      'notFoundd',
      'did you mean notFound?',
    ])
      expect(ended.stderr).toContain(words);
    expect(existsSync(place.dataDir)).toBe(false);
  });

  it('when the file is not there', async () => {
    const ended = await place.run(['worker', '--config', 'no-such.yaml']);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('no-such.yaml');
  });

  it('when a worker lacks its credentials, by their variables only', async () => {
    const ended = await place.run(['worker'], { env: { FLEET_KEY_SECRET: undefined } });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(`  ${KEY_ENV.accessKeySecretEnv}, for account fleet\n`);
    expect(ended.stderr).not.toContain(KEY_ENV.accessKeyIdEnv);
  });

  it('when a worker has no account', async () => {
    const path = await place.configure({}, 'no-account.yaml');
    const ended = await place.run(['worker', '--config', path]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('has no account: add one under accounts.<name>');
  });
});

describe('a port that is taken', () => {
  it('ends worker and sandbox with 3, and leaves nothing running', async () => {
    const holder = createServer().listen(0);
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const path = await place.configure(settingsOf(undefined, { health: { port } }), 'port.yaml');
    const words = `is not free (EADDRINUSE): stop the program that uses it, or choose another port.\n`;
    const worker = await place.run(['worker', '--config', path]);
    expect(worker).toMatchObject({ code: 3, stdout: '' });
    expect(worker.stderr).toContain(`Port ${port} (health.port) ${words}`);
    expect(await place.serverPid()).toBeUndefined();
    const sandbox = await place.run(['sandbox', '--host', '::', '--port', String(port)]);
    expect(sandbox).toMatchObject({ code: 3, stdout: '', stderr: `Port ${port} (--port) ${words}` });
    holder.close();
  });
});

describe('a Redis that does not answer', () => {
  it.each([[['worker']], [['status']], [['submit', '-', '--execute', '--yes']]])(
    'ends %s with 3 within seconds',
    async (args) => {
      const path = await place.configure(
        settingsOf(undefined, { redis: { url: 'redis://:geheim@127.0.0.1:1' } }),
        'down.yaml',
      );
      const startMs = performance.now();
      const ended = await place.run([...args, '--config', path], {
        stdin: `instanceId,caSn,deviceSn\n${INSTANCE},1,1\n`,
      });
      expect(performance.now() - startMs).toBeLessThan(10_000);
      expect(ended).toMatchObject({ code: 3, stdout: '' });
      expect(ended.stderr).toContain('No Redis at redis://127.0.0.1:1');
      expect(ended.stderr).toContain('start Redis there, or correct redis.url');
      expect(ended.stderr).not.toContain('geheim');
    },
  );
});
