import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram, loadCommands } from '../../src/cli/program.ts';
import { INSTANCE, KEY_ENV, openInstallation, settingsOf, type Installation } from '../support/installation.ts';

let place: Installation;
beforeAll(async () => {
  place = await openInstallation();
});
afterAll(() => place.remove());

/** The names of the command and of all below it. */
function namesOf(command: Command, above: readonly string[] = []): string[][] {
  const below = command.commands.flatMap((one) => namesOf(one, [...above, one.name()]));
  return [[...above], ...below];
}

/** What the help says, by commander alone. */
async function helpOf(names: readonly string[]): Promise<string> {
  let text = '';
  const program = createProgram(await loadCommands(names[0]));
  const hear = (command: Command): void => {
    command.configureOutput({ writeOut: (part) => (text += part) });
    for (const one of command.commands) hear(one);
  };
  hear(program);
  await expect(program.parseAsync([...names, '--help'], { from: 'user' })).rejects.toMatchObject({ exitCode: 0 });
  return text;
}

describe('help', () => {
  it('is there for every command', async () => {
    const all = namesOf(createProgram(await loadCommands()));
    expect(all.length).toBeGreaterThan(30);
    for (const names of all) {
      const help = await helpOf(names);
      expect(help).toMatch(new RegExp(`^Usage: ${['certsweep', ...names].join(' ')} `));
      expect(help).not.toContain('\u001B');
    }
    // Of the built command, for all: the check of the documents asks each.
    for (const names of [[], ['submit'], ['dead', 'retry']]) {
      const ended = await place.run([...names, '--help']);
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toContain(`Usage: ${['certsweep', ...names].join(' ')} `);
    }
  });

  it('prints the version', async () => {
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
