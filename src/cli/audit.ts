import type { Command } from 'commander';
import { auditLines, verifyAudit, type AuditFilter } from '../app/audit.ts';
import type { Store } from '../app/store.ts';
import { printable } from '../core/printable.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeChain, describeEntry } from './text/audit.ts';
import { print, printJson, printText, say } from './text/terminal.ts';

interface AuditOptions extends CommonOptions {
  readonly batch?: string;
  readonly since?: number;
  readonly json?: boolean;
  readonly verify?: boolean;
}

export function addAudit(program: Command): void {
  program
    .command('audit')
    .summary('who changed what, when and why')
    .description(
      'Prints the record of changes, the oldest first. --verify checks instead that no entry is missing or was changed, as far as the record itself can show that.',
    )
    .option('--batch <batch>', 'only of this batch')
    .option('--since <time>', 'only from this time on, in ISO 8601, like 2026-01-31 or 2026-01-31T09:00Z', timeOf)
    .option('--verify', 'check the whole record; exit code 1 names the first fault')
    .option('--json', 'print one object a line, as it was hashed; with --verify one object')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action((options: AuditOptions) => {
      if (options.verify === true && (options.batch !== undefined || options.since !== undefined)) {
        throw new CommandEnd(EXIT.usage, '--verify checks the whole record: leave out --batch and --since.');
      }
      return withStore(options, (store) => (options.verify === true ? verify(store, options) : list(store, options)));
    });
}

async function list(store: Store, { batch, since, json }: AuditOptions): Promise<void> {
  const filter: AuditFilter = { ...(batch !== undefined && { batch }), ...(since !== undefined && { since }) };
  let found = 0;
  for await (const { entry, line } of auditLines(store, filter)) {
    found += 1;
    if (json === true) print(line);
    else printText(entry === undefined ? `not readable: ${printable(line)}` : describeEntry(entry));
  }
  if (json !== true && found === 0) say('No entry.');
}

async function verify(store: Store, { json }: AuditOptions): Promise<void> {
  const verdict = await verifyAudit(store);
  if (json === true) printJson(verdict);
  if (verdict.kind === 'broken') throw new CommandEnd(EXIT.someDead, describeChain(verdict));
  if (json !== true) say(describeChain(verdict));
}

function timeOf(text: string): number {
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new CommandEnd(
      EXIT.usage,
      `--since ${text} is not a time in ISO 8601. Write it like 2026-01-31 or 2026-01-31T09:00Z.`,
    );
  }
  return time;
}
