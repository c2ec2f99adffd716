import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { environment } from '../../runtime/environment.ts';
import { openRedis, type OpenRedis } from '../../runtime/redis/open-redis.ts';
import { CommandEnd, EXIT } from '../exit.ts';
import { sayNotice } from '../session.ts';

const COMMAND = fileURLToPath(new URL('../main.js', import.meta.url));
/** Node with everything loaded is up in half a second; a busy machine may need much longer. */
const STARTS_WITHIN_MS = 30_000;
const LEAVES_WITHIN_MS = 5_000;
const HANGUP_EXIT = 129;

type Variables = Readonly<Record<string, string | undefined>>;

/** What the demo brings onto the stage, and takes off it again whatever happens: child processes, a private Redis, a temporary folder. */
export class DemoStage {
  readonly folder: string;
  /** For the commands that are run: nothing that could lead them to a real account or a real Redis. */
  readonly variables: Variables;
  /** Rejects when a service ends before the demo does. */
  readonly #broken: Promise<never>;
  #break: (error: Error) => void = () => undefined;
  readonly #children = new Set<ChildProcess>();
  #opening: Promise<OpenRedis> | undefined;
  #redisPid: number | undefined;
  #isClosing = false;

  private constructor(folder: string) {
    this.folder = folder;
    const inherited = Object.entries(environment).filter(([name]) => !/^(CERTSWEEP|ALIBABA)/.test(name));
    this.variables = { ...Object.fromEntries(inherited), CERTSWEEP_DATA_DIR: folder };
    this.#broken = new Promise((_resolve, reject) => {
      this.#break = reject;
    });
    this.#broken.catch(() => undefined);
    // A second Ctrl-C and a closed terminal leave at once; nothing stays behind even then.
    process.on('exit', this.#leaveNothing);
    // Not once: a hang-up often comes twice, and the second would then cut the first short.
    process.on('SIGHUP', this.#hangUp);
  }

  static async open(): Promise<DemoStage> {
    return new DemoStage(await mkdtemp(join(tmpdir(), 'certsweep-demo-')));
  }

  /** Opens the Redis that every command of the demo then finds in the folder. */
  openRedis(): Promise<OpenRedis> {
    this.#opening = openRedis({ dataDir: this.folder }, (event) => {
      if (event.kind === 'started') this.#redisPid = event.pid;
      if (event.kind === 'stopped') this.#redisPid = undefined;
      if (!this.#isClosing) sayNotice(event);
    });
    return this.#opening;
  }

  /**
   * Starts a command that runs until the end; all it writes goes into `<name>.log` of the folder.
   * @returns what it wrote that matches, as soon as it has
   */
  async startService(args: readonly [name: string, ...string[]], variables: Variables, ready: RegExp): Promise<string> {
    const [name] = args;
    const child = this.#spawn(args, variables);
    const log = createWriteStream(this.#logOf(name));
    let written: string | undefined = '';
    const isReady = new Promise<string>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding('utf8').on('data', (text: string) => {
          log.write(text);
          if (written === undefined) return;
          written += text;
          const found = ready.exec(written)?.[0];
          if (found === undefined) return;
          written = undefined;
          resolve(found);
        });
      }
    });
    child.once('close', (code, signal) => {
      log.end();
      if (this.#isClosing) return;
      this.#break(
        new CommandEnd(EXIT.refused, `certsweep ${name} ended by itself (${signal ?? `exit code ${code}`}).`),
      );
    });
    const late = delay(STARTS_WITHIN_MS, undefined, { ref: false }).then((): never => {
      throw new CommandEnd(EXIT.refused, `certsweep ${name} did not start within ${STARTS_WITHIN_MS / 1_000} s.`);
    });
    return Promise.race([isReady, late, this.#broken]);
  }

  /** Runs a command to its end. @returns its standard output @throws CommandEnd with what it said, when it failed */
  async run(args: readonly [name: string, ...string[]], variables: Variables): Promise<string> {
    const child = this.#spawn(args, variables);
    const heard = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => (heard[name] += text));
    }
    const [code] = (await Promise.race([once(child, 'close'), this.#broken])) as [number | null];
    if (code === 0) return heard.stdout;
    throw new CommandEnd(EXIT.refused, `certsweep ${args[0]} failed with exit code ${code}:\n${heard.stderr.trim()}`);
  }

  /** @throws CommandEnd when a service ends meanwhile, or the demo is being ended */
  async pause(ms: number): Promise<void> {
    await Promise.race([delay(ms), this.#broken]);
    if (this.#isClosing) throw new CommandEnd(EXIT.interrupted, '');
  }

  /** The last lines that a service wrote; empty when it never ran. */
  async lastWords(name: string, lines: number): Promise<string> {
    const text = await readFile(this.#logOf(name), 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-lines).join('\n');
  }

  /** Ends everything, the last started first, and removes the folder. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const child of [...this.#children].toReversed()) await endChild(child);
    const [opened] = await Promise.allSettled([this.#opening]);
    if (opened.status === 'fulfilled') await opened.value?.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    process.off('exit', this.#leaveNothing);
    process.off('SIGHUP', this.#hangUp);
  }

  #logOf(name: string): string {
    return join(this.folder, `${name}.log`);
  }

  #spawn(args: readonly string[], variables: Variables): ChildProcess {
    const child = spawn(process.execPath, [COMMAND, ...args], {
      cwd: process.cwd(),
      env: { ...this.variables, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own: Ctrl-C comes to us alone, and we end the others in order.
      detached: true,
    });
    this.#children.add(child);
    child.once('error', (error) => this.#break(error));
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  readonly #hangUp = (): void => process.exit(HANGUP_EXIT);

  readonly #leaveNothing = (): void => {
    for (const child of this.#children) child.kill('SIGKILL');
    if (this.#redisPid !== undefined) killIfThere(this.#redisPid);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'close');
  const cut = setTimeout(() => child.kill('SIGKILL'), LEAVES_WITHIN_MS);
  child.kill('SIGTERM');
  await ended;
  clearTimeout(cut);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
