import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Ended, EndingCommand } from './command.ts';

const PROGRAM = fileURLToPath(new URL('kept-process.mjs', import.meta.url));

/** What runs the built command, one run at a time, without loading it for each. */
export interface KeptProcess {
  readonly isBusy: boolean;
  /** A command that ends its process ends this one, and the next run has another. */
  run(args: readonly string[], env: Readonly<Record<string, string | undefined>>): EndingCommand;
}

interface Run {
  readonly mark: string;
  readonly end: (ended: Ended) => void;
  code?: number;
  stdout: string;
  stderr: string;
}

/** @param command - path of the built command */
export function keepProcess(command: string): KeptProcess {
  let child: ChildProcess | undefined;
  let run: Run | undefined;

  function endWith({ code, signal }: Pick<Ended, 'code' | 'signal'>): void {
    if (run === undefined) return;
    const { end, mark, stdout, stderr } = run;
    run = undefined;
    end({ code, signal, stdout: stdout.replace(mark, ''), stderr: stderr.replace(mark, '') });
  }
  function look(): void {
    // Output and code come on ways of their own.
    if (run?.code === undefined || !run.stdout.endsWith(run.mark) || !run.stderr.endsWith(run.mark)) return;
    endWith({ code: run.code, signal: null });
  }
  function start(): ChildProcess {
    const started = spawn(process.execPath, [PROGRAM], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    for (const stream of ['stdout', 'stderr'] as const) {
      started[stream]?.setEncoding('utf8').on('data', (text: string) => {
        if (run === undefined) return;
        run[stream] += text;
        look();
      });
    }
    started.on('message', ({ code }: { readonly code: number }) => {
      if (run === undefined) return;
      run.code = code;
      look();
    });
    started.once('close', (code: number | null, signal: NodeJS.Signals | null) => {
      child = undefined;
      endWith({ code, signal });
    });
    return started;
  }

  return {
    get isBusy() {
      return run !== undefined;
    },
    run(args, env) {
      child ??= start();
      const mark = `-- ${randomUUID()} --`;
      child.send({ command, args, env, mark });
      const ended = new Promise<Ended>((end) => (run = { mark, end, stdout: '', stderr: '' }));
      return {
        ended,
        // Not for a run that comes later.
        kill: (signal) => void (run?.mark === mark && child?.kill(signal)),
      };
    },
  };
}
