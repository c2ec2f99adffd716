import type { Command } from 'commander';
import type { ManualRun, OccurrenceEnd } from '../app/schedules.ts';
import type { OpenStore } from '../app/store.ts';
import { printable } from '../core/printable.ts';
import type { Config, ScheduleConfig } from '../runtime/config/config.ts';
import { untilLeave } from './cloud.ts';
import { CommandEnd, EXIT } from './exit.ts';
import { addMotive, motiveOf, reasonRequired, type MotiveOptions } from './motive.ts';
import { withStore, type CommonOptions } from './session.ts';
import { describePlan } from './text/planned.ts';
import { describeHistory, describeSchedules, describeUpcoming } from './text/schedule.ts';
import { printJson, printText, say } from './text/terminal.ts';

interface ScheduleOptions extends CommonOptions, MotiveOptions {
  readonly json?: boolean;
  readonly execute?: boolean;
}

/** Shown by `schedule next`, of each schedule. */
const UPCOMING = 5;

// Loaded by each command: the parser, BullMQ and the SDK take half a second, which no other command should pay.
const load = (): Promise<typeof import('../app/schedules.ts')> => import('../app/schedules.ts');

export function addSchedule(program: Command): void {
  const schedule = program
    .command('schedule')
    .summary('runs by a timetable, and how they ended')
    .description(
      'Shows and controls the schedules of the configuration. A worker runs them: each selects certificates, plans, and, with execute: true, submits the plan.',
    )
    .helpCommand(false)
    .addHelpText(
      'after',
      `
Example: see what a schedule would do now, then have it done
  certsweep schedule run expired
  certsweep schedule run expired --execute --reason "ticket 4711"`,
    );
  const add = (name: string, summary: string, json: string): Command =>
    schedule
      .command(name)
      .summary(summary)
      .description(summary)
      .option('--json', json)
      .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG');
  add(
    'list',
    'all schedules, when they run next, and what is paused',
    'print one array of schedule, cron, timezone, next, state, reason',
  ).action((options: ScheduleOptions) => withStore(options, (store) => list(store, options)));
  add('next', `the next ${UPCOMING} times of a schedule, or of all`, 'print one array of schedule, occurrence, at')
    .argument('[name]')
    .action((name: string | undefined, options: ScheduleOptions) =>
      withStore(options, (store) => next(store, name, options)),
    );
  addMotive(add('run', 'run a schedule now', 'print one object: schedule, occurrence, batch, state, reason'))
    .argument('<name>')
    .option('--execute', 'submit the plan; without this, only a plan is made')
    .addHelpText(
      'after',
      `
Example: what would be done, as a plan and a report
  certsweep schedule run expired

Exit code: 3 when the plan may not run (it is kept), or the run failed.`,
    )
    .action((name: string, options: ScheduleOptions) => withStore(options, (store) => run(store, name, options)));
  addMotive(add('pause', 'pause a schedule until it is resumed', 'print one object: schedule, state'))
    .argument('<name>')
    .action((name: string, options: ScheduleOptions) => withStore(options, (store) => pause(store, name, options)));
  addMotive(add('resume', 'resume a paused schedule: it runs at its next time', 'print one object: schedule, state'))
    .argument('<name>')
    .action((name: string, options: ScheduleOptions) => withStore(options, (store) => resume(store, name, options)));
  add(
    'history',
    'how the runs of a schedule ended, or of all',
    'print one array of schedule, occurrence, batch, state, reason',
  )
    .argument('[name]')
    .action((name: string | undefined, options: ScheduleOptions) =>
      withStore(options, (store) => history(store, name, options)),
    );
}

/** @throws CommandEnd where the configuration does not have it */
function ruleOf({ schedules, source }: Config, name: string): ScheduleConfig {
  const rule = schedules.find((one) => one.name === name);
  if (rule !== undefined) return rule;
  const known = schedules.length === 0 ? 'it has none' : `it has ${schedules.map((one) => one.name).join(', ')}`;
  throw new CommandEnd(EXIT.usage, `The configuration (${source}) has no schedule ${JSON.stringify(name)}: ${known}.`);
}

function rulesOf(config: Config, name: string | undefined): readonly ScheduleConfig[] {
  return name === undefined ? config.schedules : [ruleOf(config, name)];
}

async function list(store: OpenStore, { json }: ScheduleOptions): Promise<void> {
  const { listSchedules } = await load();
  const lines = await listSchedules(store);
  if (json === true) printJson(lines);
  else if (lines.length === 0) say('The configuration has no schedule: write one below schedules.');
  else printText(describeSchedules(lines));
}

async function next(store: OpenStore, name: string | undefined, { json }: ScheduleOptions): Promise<void> {
  const { nextOccurrences } = await load();
  const upcoming = await Promise.all(
    rulesOf(store.config, name).map(async (rule) =>
      (await nextOccurrences(store, rule, UPCOMING)).map(({ id, dueMs }) => ({
        schedule: rule.name,
        occurrence: id,
        at: new Date(dueMs).toISOString(),
      })),
    ),
  );
  if (json === true) printJson(upcoming.flat());
  else printText(describeUpcoming(upcoming.flat()));
}

async function run(store: OpenStore, name: string, options: ScheduleOptions): Promise<void> {
  const rule = ruleOf(store.config, name);
  const { runSchedule } = await load();
  const { execute = false } = options;
  const ran = await untilLeave((signal) =>
    runSchedule(store, rule, {
      execute,
      motive: motiveOf(options),
      signal,
      tellPlan: (report) => say(describePlan(report, store.config)),
    }),
  );
  conclude(ran, name, options);
}

function conclude(ran: ManualRun, name: string, { json }: ScheduleOptions): void {
  switch (ran.kind) {
    case 'ended': {
      const { occurrence, batch, state, reason, isStopped } = ran.end;
      if (json === true) printJson({ schedule: name, occurrence, batch, state, reason });
      const words = printable(describeEnd(ran.end));
      if (state === 'failed' || isStopped === true) throw new CommandEnd(EXIT.refused, words);
      say(words);
      return;
    }
    case 'held':
      throw new CommandEnd(EXIT.refused, `A run of ${name} is under way: wait for it. Nothing was touched.`);
    case 'batch-open':
      throw new CommandEnd(
        EXIT.refused,
        `Batch ${ran.batch} of ${name} is not done: wait for it, or cancel it. Nothing was touched.`,
      );
    case 'left':
      throw new CommandEnd(
        EXIT.interrupted,
        `The run was cut off. If its batch runs, certsweep schedule history ${name} shows it.`,
      );
    case 'reason-required':
      throw reasonRequired();
  }
}

function describeEnd({ occurrence, batch, state, reason, isStopped }: OccurrenceEnd): string {
  const head = batch === null ? occurrence : `${occurrence}: batch ${batch}`;
  const kept = isStopped === true ? ' Nothing was called.' : '';
  return `${head} is ${state}: ${reason}.${kept}`;
}

async function pause(store: OpenStore, name: string, options: ScheduleOptions): Promise<void> {
  ruleOf(store.config, name);
  const { pauseSchedule } = await load();
  const isChanged = await pauseSchedule(store, name, motiveOf(options));
  if (options.json === true) printJson({ schedule: name, state: 'paused' });
  say(`Schedule ${name} ${isChanged ? 'is paused: certsweep schedule resume continues it' : 'was paused before'}.`);
}

async function resume(store: OpenStore, name: string, options: ScheduleOptions): Promise<void> {
  ruleOf(store.config, name);
  const { resumeSchedule } = await load();
  const isChanged = await resumeSchedule(store, name, motiveOf(options));
  if (typeof isChanged === 'object') throw reasonRequired();
  if (options.json === true) printJson({ schedule: name, state: 'active' });
  say(`Schedule ${name} ${isChanged ? 'runs again at its next time' : 'was not paused'}.`);
}

async function history(store: OpenStore, name: string | undefined, { json }: ScheduleOptions): Promise<void> {
  const { scheduleHistory } = await load();
  const ends = await Promise.all(
    rulesOf(store.config, name).map(async (rule) =>
      (await scheduleHistory(store, rule.name)).map(({ occurrence, batch, state, reason }) => ({
        schedule: rule.name,
        occurrence,
        batch,
        state,
        reason,
      })),
    ),
  );
  if (json === true) printJson(ends.flat());
  else if (ends.flat().length === 0) say('No run yet.');
  else printText(describeHistory(ends.flat()));
}
