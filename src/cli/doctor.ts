import { count } from '../core/counting.ts';
import type { Command } from 'commander';
import type { Check } from '../doctor/check.ts';
import { refusedConfiguration } from '../doctor/configuration.ts';
import { ConfigError } from '../runtime/config/faults.ts';
import { environment } from '../runtime/environment.ts';
import { printable } from '../core/printable.ts';
import { EXIT } from './exit.ts';
import { configOf, sayNotice, type CommonOptions } from './session.ts';
import { wrap } from './text/fit.ts';
import { columnsOfTerminal, print, printJson, say } from './text/terminal.ts';

interface DoctorOptions extends CommonOptions {
  readonly json?: boolean;
}

/** The longest name of a check. */
const NAME_WIDTH = 'endpoint clock'.length;

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('check everything a worker needs, and say what to fix')
    .description(
      'Checks configuration, Redis, clocks, endpoints, credentials (with one read that changes nothing), quotas, halts and paused batches. Exit code: 0 when nothing failed, 2 when the configuration is wrong, 3 when something else failed.',
    )
    .option('--json', 'print one object: ok, checks')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action(async (options: DoctorOptions) => {
      const checks: Check[] = [];
      for await (const check of checksOf(options)) {
        checks.push(check);
        if (options.json !== true) print(describeCheck(check));
      }
      const failed = checks.filter(({ state }) => state === 'fail');
      if (options.json === true) printJson({ ok: failed.length === 0, checks });
      else say(describeEnd(checks, failed));
      process.exitCode = exitCodeOf(failed);
    });
}

async function* checksOf(options: DoctorOptions): AsyncGenerator<Check> {
  try {
    const config = await configOf(options);
    // Loaded here: BullMQ and the SDK take half a second, which no other command should pay.
    const { examine } = await import('../doctor/examine.ts');
    const { credentialsOf } = await import('../queue/worker/credentials.ts');
    yield* examine({
      config,
      environment,
      credentialsOf: (account) => credentialsOf(account, environment),
      notice: sayNotice,
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    yield* refusedConfiguration(error);
    say('Nothing else can be checked until the configuration is fixed.');
  }
}

/** `ok    redis           embedded Redis in ...`, and below it what to do. */
function describeCheck({ name, state, found, fix }: Check): string {
  const head = `${state.padEnd(4)}  ${name.padEnd(NAME_WIDTH)}  `;
  const lines = [...linesOf(found, head.length), ...(fix === undefined ? [] : linesOf(`fix: ${fix}`, head.length))];
  return lines.map((line, index) => (index === 0 ? head : ' '.repeat(head.length)) + line).join('\n');
}

/** One line, but on a terminal as many as keep what follows a column within it. */
function linesOf(text: string, column: number): string[] {
  const columns = columnsOfTerminal(process.stdout) ?? Number.POSITIVE_INFINITY;
  return wrap(printable(text), Math.max(columns - column, 20));
}

function describeEnd(checks: readonly Check[], failed: readonly Check[]): string {
  const warnings = checks.filter(({ state }) => state === 'warn').length;
  const parts = `${count(checks.length, 'check')}, ${count(warnings, 'warning')}, ${failed.length} failed.`;
  return failed.length === 0 && warnings === 0 ? `${parts} All is well.` : parts;
}

function exitCodeOf(failed: readonly Check[]): number {
  if (failed.length === 0) return EXIT.ok;
  return failed.some(({ name }) => name === 'configuration') ? EXIT.usage : EXIT.refused;
}
