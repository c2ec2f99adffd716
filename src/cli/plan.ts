import { count } from '../core/counting.ts';
import { createHash } from 'node:crypto';
import { Option, type Command } from 'commander';
import { PLANNED_ACTIONS, type PlannedAction } from '../core/action.ts';
import type { PlanEnd, PlanReport, PlanSource } from '../app/plan.ts';
import { publishedPlan } from '../app/plan-report.ts';
import type { OpenStore } from '../app/store.ts';
import { accountOf, type Config } from '../runtime/config/config.ts';
import { onLeaveSignal } from '../runtime/shutdown.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { openManifest } from './open-manifest.ts';
import { fileTrouble } from './out-file.ts';
import { addSelectorOptions, readExcept, readSelectors, type SelectorOptions } from './selectors.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describeSummary } from './text/plan.ts';
import { describeObstacles, describePlan, describeStopped } from './text/planned.ts';
import { printJson, say } from './text/terminal.ts';
import { wholeNumber } from './whole-number.ts';

interface PlanOptions extends CommonOptions, SelectorOptions {
  readonly instance?: string;
  readonly action: PlannedAction;
  readonly maxItems?: number;
  readonly maxShareOfCa?: number;
  readonly out?: string;
  readonly json?: boolean;
}

/** Those that select certificates, which a manifest has done already. */
const SELECTORS = ['ca', 'status', 'expiredFor', 'expiresWithin', 'names', 'pem', 'except'] as const;

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .summary('compare certificates with the cloud, and write a plan')
    .description(
      'Compares a manifest, or the certificates that --instance and its selectors choose, with what the cloud has now. It shows what would be deleted or inactivated, what stays and which devices could return, and writes a plan for submit --plan. It changes nothing in the cloud.',
    )
    .argument('[manifest]', 'a .csv or .ndjson file, or - for standard input')
    .option('--instance <id>', 'plan for the certificates of this instance, without a manifest');
  addSelectorOptions(command)
    .addOption(new Option('--action <a>', 'what to do with them').choices([...PLANNED_ACTIONS]).default('delete'))
    .option('--max-items <n>', 'refuse a plan with more certificates', (text: string) =>
      wholeNumber('--max-items', text),
    )
    .option('--max-share-of-ca <part>', 'refuse a plan with a larger part of a CA, such as 0.05', share)
    .option('--out <file>', 'write the plan to this file, which appears only when it is complete')
    .option('--json', 'print one object: plan, action, certificates, classes, cas, calls, warnings')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      `
Example: delete what has been expired for a month, at most a twentieth of a CA
  certsweep plan --instance post-cn-xxx --expired-for 30d \\\n    --max-share-of-ca 0.05 --out expired.plan
  certsweep submit --plan expired.plan --execute

Exit code: 1 when a name or a PEM was not found, 3 when there is nothing to\nplan, a cap was exceeded or the cloud refused.`,
    )
    .action((manifest: string | undefined, options: PlanOptions) => {
      mustBeClear(manifest, options);
      return withStore(options, (store) => plan(store, manifest, options));
    });
}

function share(text: string): number {
  const part = Number(text);
  if (/^\d*\.?\d+$/.test(text) && part > 0 && part <= 1) return part;
  throw new CommandEnd(
    EXIT.usage,
    `--max-share-of-ca ${text} is not a share of a CA: give more than 0 and at most 1, such as 0.05.`,
  );
}

function mustBeClear(manifest: string | undefined, options: PlanOptions): void {
  const { instance } = options;
  if ((manifest === undefined) === (instance === undefined))
    throw new CommandEnd(EXIT.usage, 'Give either a manifest, or --instance and what to select of it.');
  const selector = SELECTORS.find((name) => options[name] !== undefined);
  if (manifest !== undefined && selector !== undefined)
    throw new CommandEnd(EXIT.usage, 'Selectors need --instance instead of a manifest.');
}

async function plan(store: OpenStore, manifest: string | undefined, options: PlanOptions): Promise<void> {
  const { action, maxItems, maxShareOfCa, out } = options;
  // Loaded here: BullMQ and the SDK take half a second, which no other command should pay.
  const { planOf, wantedIn } = await import('../app/plan.ts');
  const source =
    manifest === undefined ? await selection(options, store.config, wantedIn) : await manifestSource(manifest);
  const leave = onLeaveSignal();
  const ending = new AbortController();
  void leave.wait.then(() => ending.abort());
  const caps = { maxItems, maxShareOfCa };
  const end = await planOf(store, { source, action, caps, ...(out !== undefined && { out }) }, ending.signal)
    .catch((error: unknown) => {
      const code = out === undefined ? undefined : fileTrouble(error, out);
      throw code === undefined
        ? error
        : new CommandEnd(EXIT.refused, `${out} cannot be written (${code}): choose another place with --out.`);
    })
    .finally(() => leave.forget());
  conclude(end, options, store.config);
}

async function manifestSource(manifest: string): Promise<PlanSource> {
  const hash = createHash('sha256');
  const rows = await openManifest(manifest, {}, hash);
  return { kind: 'manifest', rows, manifestSha256: () => hash.digest('hex') };
}

async function selection(
  options: PlanOptions,
  config: Config,
  wantedIn: Parameters<typeof readSelectors>[1],
): Promise<PlanSource> {
  const { instance: instanceId = '', ca: cas = [], except } = options;
  if (accountOf(config, instanceId) === undefined)
    throw new CommandEnd(
      EXIT.usage,
      `No account of the configuration has the instance ${JSON.stringify(instanceId)}: list it under accounts.<name>.instances.`,
    );
  const { selectors } = await readSelectors(options, wantedIn);
  return { kind: 'selection', instanceId, cas, selectors, except: readExcept(except, instanceId, cas) };
}

function conclude(end: PlanEnd, options: PlanOptions, config: Config): void {
  switch (end.kind) {
    case 'planned': {
      const { report } = end;
      sayReport(report, options, config);
      if (options.out === undefined)
        say('No plan was written. Add --out <file> to write it; submit --plan <file> then runs it.');
      else say(`The plan is in ${options.out}: certsweep submit --plan ${options.out} --execute runs it, once.`);
      if (report.notFound.length + report.ambiguous.length > 0) process.exitCode = EXIT.someDead;
      return;
    }
    case 'obstructed':
      sayReport(end.report, options, config);
      throw new CommandEnd(EXIT.refused, describeObstacles(end.obstacles));
    case 'bad-rows': {
      say(describeSummary(end.summary, config));
      const { rejected } = end.summary;
      throw new CommandEnd(
        EXIT.usage,
        `The manifest is refused for ${count(rejected, 'bad row')}: fix ${rejected === 1 ? 'it' : 'them'}. No plan was written.`,
      );
    }
    case 'no-key':
      throw new CommandEnd(EXIT.usage, describeStopped(end));
    case 'closed':
      throw new CommandEnd(EXIT.interrupted, describeStopped(end));
    case 'halted':
    case 'refused':
      throw new CommandEnd(EXIT.refused, describeStopped(end));
  }
}

function sayReport(report: PlanReport, { json }: PlanOptions, config: Config): void {
  if (json === true) printJson(publishedPlan(report));
  say(describePlan(report, config));
}
