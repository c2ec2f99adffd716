import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hasTerminal, type RunningCommand } from '../support/command.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import { ACCOUNT_KEY } from '../support/installation.ts';

const HIDE_CURSOR = '\u001B[?25l';
const SHOW_CURSOR = '\u001B[?25h';
const CTRL_C = '\u0003';

if (!hasTerminal) console.warn('SKIPPED: no script of util-linux here, so no screen was tested on a terminal.');

interface OnTerminal extends RunningCommand {
  press(keys: string): void;
}

describe.skipIf(!hasTerminal)('on a terminal', () => {
  let fleet: Fleet;
  beforeEach(async () => {
    fleet = await openFleet();
  });
  afterEach(() => fleet.remove());

  function onTerminal(args: readonly string[], term = 'xterm-256color'): OnTerminal {
    const keyboard = new PassThrough();
    const env = { TERM: term, NO_COLOR: '1' };
    const command = fleet.start(args, { terminal: true, stdin: keyboard, env });
    return { ...command, press: (keys) => void keyboard.write(keys) };
  }

  /** The worker's own process: `pid` is that of its terminal. */
  function signal(worker: OnTerminal, name: NodeJS.Signals): void {
    process.kill(Number(/(?:worker \S+, process |"pid":)(\d+)/.exec(worker.output())?.[1]), name);
  }

  it('a worker shows its account, what happened and a halt in words, and gives the cursor back after SIGINT', async () => {
    const worker = onTerminal(['worker']);
    await worker.says('the worker has started');
    expect(worker.output()).toContain(HIDE_CURSOR);
    expect(worker.output()).toContain('account  state');
    const done = await fleet.submit(certificates(30));
    await worker.says(`batch ${done} is completed`);
    await worker.says(' of 5000');

    fleet.sandbox.revokeKey(ACCOUNT_KEY.accessKeyId, 'InvalidAccessKeyId.NotFound');
    await fleet.submit(certificates(30, 2));
    await worker.says('account fleet is halted, its jobs wait: InvalidAccessKeyId.NotFound');
    await worker.says('HALTED account fleet since ');

    worker.press(CTRL_C);
    const { code, stdout } = await worker.ended;
    expect(code).toBe(130);
    // What named a problem stays, in full, above the last numbers.
    const last = stdout.slice(stdout.lastIndexOf('account fleet is halted, its jobs wait'));
    expect(last).toMatch(
      /\(halted, instanceId\s+post-cn-fleet\)[^]*certsweep worker .*stopped[^]* stopped +\d+ of 5000 +0 +30 +0 +0/,
    );
    expect(stdout).not.toContain('{"level"');
    expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR));
    expect(stdout).not.toContain('\u001B[1;31m');
  });

  it('status --watch draws over what it drew before, and escapes nothing of its own', async () => {
    await fleet.submit(certificates(3));
    const watching = onTerminal(['status', '--watch']);
    await watching.says('pending 3');
    watching.press(CTRL_C);
    const { code, stdout } = await watching.ended;
    expect(code).toBe(130);
    expect(stdout).toContain('\u001B[H\u001B[2J');
    expect(stdout).not.toContain('u{1b}');
  });

  it('a worker that a second signal ends gives the cursor back', async () => {
    fleet.sandbox.setPlan({ seed: 1, faults: [{ kind: 'hang' }] });
    const worker = onTerminal(['worker']);
    await worker.says('the worker has started');
    await fleet.submit(certificates(5));
    await worker.says(' of 5000        5 ');
    // On the wire: what is only in hand is given back, and the first signal would end it.
    await vi.waitFor(() => expect(fleet.sandbox.seen().calls).toBe(5), { timeout: 60_000 });
    signal(worker, 'SIGTERM');
    await worker.says('stopping (SIGTERM)');
    signal(worker, 'SIGTERM');
    const { code, stdout } = await worker.ended;
    expect(code).toBe(143);
    expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR));
  });

  it('a worker logs JSON where that is asked for, and plain lines where the terminal is dumb', async () => {
    const json = onTerminal(['worker', '--json-logs']);
    await json.says('"event":"worker-started"');
    signal(json, 'SIGTERM');
    expect((await json.ended).stdout).not.toContain('\u001B');

    const dumb = onTerminal(['worker'], 'dumb');
    await dumb.says('the worker has started');
    signal(dumb, 'SIGTERM');
    const { stdout } = await dumb.ended;
    expect(stdout).not.toContain('\u001B');
    expect(stdout).toMatch(/\d\d:\d\d:\d\d {2}the worker has started\r\n[^]*fleet +stopped +0 of 5000 .*\r\n$/);
  });

  it('a sandbox shows what it sees, and its last numbers stay', async () => {
    const sandbox = onTerminal(['sandbox', '--port', '0']);
    await sandbox.says('registered');
    const [, url] = /sandbox on (http:\S+)/.exec(sandbox.output()) ?? [];
    await fetch(`${url}/?Action=DeleteDeviceCertificate`);
    await sandbox.says('1 in all');
    await sandbox.says('Just happened');
    sandbox.press(CTRL_C);
    const { code, stdout } = await sandbox.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/certsweep sandbox on .* ended[^]*1 in all/);
    expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR));
  });
});
