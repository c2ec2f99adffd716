import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { keepProcess } from './kept-process.ts';

/** The built command, as a user runs it; `npm test` builds it first. */
const COMMAND = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** util-linux: runs a command on a terminal of its own. */
const SCRIPT = '/usr/bin/script';

/** How a command ended. */
export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Added to the environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard input. Without it there is none. */
  readonly stdin?: string | Readable;
  /** For Node itself, before the command. */
  readonly node?: readonly string[];
  /** On a terminal: all it writes is then in `stdout`. See `hasTerminal`. */
  readonly terminal?: boolean;
  /** False: nobody reads what it writes to standard output, as when `| head` has had enough. */
  readonly isRead?: boolean;
  /** A file to write standard output to. */
  readonly stdoutTo?: string;
}

/** A command that runs to its end. */
export interface EndingCommand {
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
}

/** A command that runs. */
export interface RunningCommand extends EndingCommand {
  readonly pid: number;
  /** Everything it has written so far, standard output first. */
  output(): string;
  /** Resolves when it has written the text; rejects when the command ends without it, or after a minute. */
  says(text: string): Promise<void>;
}

interface Heard {
  stdout: string;
  stderr: string;
}

const SAYS_WITHIN_MS = 60_000;

/** Whether this host can give a command a terminal. */
export const hasTerminal = process.platform === 'linux' && existsSync(SCRIPT);

/** Starts the command with these arguments. The caller must end it. */
export function startCommand(args: readonly string[], options: CommandOptions): RunningCommand {
  requireBuild();
  const words = [...(options.node ?? []), COMMAND, ...args];
  if (options.terminal !== true) return startProgram(process.execPath, words, options);
  const quoted = [process.execPath, ...words].map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`);
  // A terminal that is made of a pipe has no width.
  return startProgram(SCRIPT, ['-qefc', `stty cols 100 rows 30; exec ${quoted.join(' ')}`, '/dev/null'], options);
}

/** Commands that end only when they are told to, or run others. */
const LONG = ['worker', 'serve', 'sandbox', 'demo'];
const kept = keepProcess(COMMAND);
/** First words that had a process of their own. */
const begun = new Set<string>();
let asked = 0;

/**
 * Runs the command to its end. The first of each command has a process of its own, as a user's has, and so have those that are asked for at once,
 * which may race. The others take turns in one process, which has loaded the command already.
 */
export function runCommand(args: readonly string[], options: CommandOptions): EndingCommand {
  requireBuild();
  let running: EndingCommand | undefined;
  const run = async (): Promise<Ended> => {
    asked += 1;
    await setImmediate();
    const isAlone = asked === 1;
    await setImmediate();
    asked -= 1;
    running = isAlone && isShort(args, options) && !kept.isBusy ? runKept(args, options) : startCommand(args, options);
    return running.ended;
  };
  return { ended: run(), kill: (signal) => running?.kill(signal) };
}

function isShort([word = '']: readonly string[], options: CommandOptions): boolean {
  const isFirst = !begun.has(word);
  begun.add(word);
  return !isFirst && !LONG.includes(word) && Object.keys(options).every((name) => name === 'env');
}

function runKept(args: readonly string[], { env = {} }: CommandOptions): EndingCommand {
  return kept.run(args, { ...inherited(), ...env });
}

function requireBuild(): void {
  if (!existsSync(COMMAND)) throw new Error('dist/ is missing: npm run build');
}

function startProgram(
  program: string,
  args: readonly string[],
  { env = {}, stdin, isRead, stdoutTo }: CommandOptions,
): RunningCommand {
  const out = stdoutTo === undefined ? undefined : openSync(stdoutTo, 'w');
  const child = spawn(program, args, {
    env: { ...inherited(), ...env },
    stdio: [stdin === undefined ? 'ignore' : 'pipe', out ?? 'pipe', 'pipe'],
  });
  if (out !== undefined) closeSync(out);
  if (child.pid === undefined) throw new Error(`${program} could not be spawned`);
  feed(child, stdin);
  const heard: Heard = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => (heard[stream] += text));
  }
  if (isRead === false) child.stdout?.destroy();
  return {
    pid: child.pid,
    ended: endOf(child, heard),
    output: () => heard.stdout + heard.stderr,
    says: (text) => hears(child, heard, text),
    kill: (signal) => void child.kill(signal),
  };
}

/** Variables that a child inherits: none that could configure it by accident. */
function inherited(): Record<string, string | undefined> {
  const isForeign = /^(CERTSWEEP|ALIBABA|VITEST|NODE_OPTIONS|DEBUG|FORCE_COLOR|NO_COLOR|COLORTERM)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isForeign.test(name)));
}

function feed({ stdin: into }: ChildProcess, from: string | Readable | undefined): void {
  if (into === null || from === undefined) return;
  // A command that refuses its arguments does not read on.
  into.on('error', () => undefined);
  if (typeof from === 'string') into.end(from);
  else from.pipe(into);
}

async function endOf(child: ChildProcess, heard: Heard): Promise<Ended> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, ...heard };
}

async function hears(child: ChildProcess, heard: Heard, text: string): Promise<void> {
  const isHeard = (): boolean => heard.stdout.includes(text) || heard.stderr.includes(text);
  if (isHeard()) return;
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) => (): void =>
      finish(() => reject(new Error(`${why} "${text}":\n${heard.stdout}${heard.stderr}`)));
    const look = (): void => {
      if (isHeard()) finish(resolve);
    };
    const hasEnded = fail('the command ended without saying');
    const timer = setTimeout(fail(`the command did not say within ${SAYS_WITHIN_MS} ms`), SAYS_WITHIN_MS);
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', look);
    child.once('close', hasEnded);
    function finish(settle: () => void): void {
      clearTimeout(timer);
      for (const stream of [child.stdout, child.stderr]) stream?.off('data', look);
      child.off('close', hasEnded);
      settle();
    }
  });
}
