import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { resolveConfig } from './config.ts';
import type { Config, Environment } from './config.ts';
import { ConfigError, looksSecret, nearest, showPath, showUnknown, showValue } from './faults.ts';
import type { ConfigFault, Step } from './faults.ts';
import { isCron } from './schedule-schema.ts';
import { configJsonSchema, documentSchema } from './schema.ts';
import { FILE_VARIABLE, isMapping, mergeEnvironment } from './variables.ts';
import type { Mapping, Merged } from './variables.ts';

/** Where the configuration comes from. */
export interface ConfigPlace {
  /** A YAML file; without it CERTSWEEP_CONFIG, and without that the defaults. No other place is searched. */
  readonly path?: string;
  /** Its CERTSWEEP_* variables win over the file. */
  readonly environment: Environment;
}

/**
 * Reads the file, merges the environment and checks everything.
 * @throws ConfigError with all faults at once
 */
export async function loadConfig(place: ConfigPlace): Promise<Config> {
  const { environment } = place;
  const named = place.path ?? environment[FILE_VARIABLE];
  const file = named === undefined ? undefined : resolve(named);
  const source = file ?? 'environment';
  const document =
    file === undefined ? {} : await readDocument(file, place.path === undefined ? FILE_VARIABLE : 'configuration file');
  const merged = mergeEnvironment(document, environment, file);
  const checked = documentSchema.safeParse(document);
  const faults = [...merged.faults, ...reservedAccounts(document)];
  for (const issue of checked.error?.issues ?? []) {
    for (const fault of faultsOf(issue, document, merged)) {
      // Two rules may refuse one value; the first is the plainest.
      if (!faults.some(({ path, value }) => path === fault.path && value === fault.value)) faults.push(fault);
    }
  }
  faults.push(...(await cronFaults(document)));
  if (!checked.success || faults.length > 0) throw new ConfigError(source, faults);
  return resolveConfig(checked.data, source, file === undefined ? '.' : dirname(file), environment);
}

/** What the schema cannot see without the parser. Loaded here, so that only configurations with schedules pay for it. */
async function cronFaults({ schedules }: Mapping): Promise<ConfigFault[]> {
  if (!isMapping(schedules) || Object.keys(schedules).length === 0) return [];
  const { cronFault } = await import('./check-crons.ts');
  return Object.keys(schedules).flatMap((name) => {
    const cron = valueAt(schedules, [name, 'cron']);
    const why = isCron(cron) ? cronFault(cron) : undefined;
    if (why === undefined) return [];
    const path = ['schedules', name, 'cron'];
    return [{ path: showPath(path), value: showValue(cron, path), remedy: `give one that occurs (${why})` }];
  });
}

/** Names that every object has, like `constructor`. Zod silently ignores `__proto__`, and its account would have no worker. */
function reservedAccounts({ accounts }: Mapping): ConfigFault[] {
  if (!isMapping(accounts)) return [];
  const reserved = Object.keys(accounts).filter((name) => name in {});
  return reserved.map((name) => {
    const path = ['accounts', name];
    const remedy = 'give the account another name: JavaScript reserves this one';
    return { path: showPath(path), value: showValue(valueAt(accounts, [name]), path), remedy };
  });
}

async function readDocument(file: string, named: string): Promise<Mapping> {
  const text = await readText(file, named);
  const lines = new LineCounter();
  // Without pretty errors, which quote the line, and with it what may be a password.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const faults = document.errors.map(({ code, pos: [at] }) => {
    const { line, col } = lines.linePos(at);
    return notYaml(`line ${line}, column ${col}`, code);
  });
  if (faults.length > 0) throw new ConfigError(file, faults);
  const content = contentOf(file, () => document.toJS());
  if (content === null) return {};
  if (isMapping(content)) return content;
  const remedy = 'write keys below each other, like "notFound: dead"';
  throw new ConfigError(file, [{ path: 'the file', value: showUnknown('', content), remedy }]);
}

async function readText(file: string, named: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const remedy = `it cannot be read (${why}); give the path of a YAML file that you may read`;
    throw new ConfigError(file, [{ path: named, value: file, remedy }], { cause: error });
  }
}

/** An alias to nothing, or one that grows without end, shows only here. */
function contentOf(file: string, read: () => unknown): unknown {
  try {
    return read();
  } catch {
    throw new ConfigError(file, [notYaml('the file', 'BAD_ALIAS')]);
  }
}

/** By its code only: the parser's own sentence repeats what it read. */
function notYaml(path: string, code: string): ConfigFault {
  const remedies: Readonly<Record<string, string>> = {
    DUPLICATE_KEY: 'remove one of the two keys with this name',
    BAD_ALIAS: 'put values that begin with * or & in quotes',
    TAB_AS_INDENT: 'indent with spaces instead of tabs',
    BAD_INDENT: 'line up keys of one level with the same number of spaces',
    MULTIPLE_DOCS: 'keep one document: remove the line --- and what follows',
  };
  const remedy =
    remedies[code] ?? 'fix the indentation, or put the value in quotes where it has one of : # & * ! | > % @';
  return { path, value: `not YAML (${code})`, remedy };
}

function faultsOf(issue: z.core.$ZodIssue, document: Mapping, merged: Merged): ConfigFault[] {
  const steps: Step[] = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  const value = valueAt(document, steps);
  if (issue.code !== 'unrecognized_keys') {
    const fallback = value === undefined ? valueAt(schemaAt(steps), ['default']) : undefined;
    const shown = fallback === undefined ? showValue(value, steps) : `${showValue(fallback, steps)} by default`;
    const remedy = value === null ? `${issue.message}, or remove the line` : issue.message;
    return [{ path: merged.placeOf(steps), value: shown, remedy }];
  }
  return issue.keys.map((key) => ({
    path: merged.placeOf([...steps, key]),
    value: showUnknown(key, valueAt(value, [key])),
    remedy: unknownKeyRemedy(key, steps),
  }));
}

/** Keys of earlier versions, and what they are called now. */
const RENAMED: ReadonlyMap<string, string> = new Map([['caution', 'breaker']]);

function unknownKeyRemedy(key: string, section: readonly Step[]): string {
  const renamed = section.length === 0 ? RENAMED.get(key) : undefined;
  if (renamed !== undefined) return `this key is called ${renamed} now: write ${renamed}, and keep what is below it`;
  if (looksSecret(key)) {
    if (section.includes('redis') || /passw|pwd/i.test(key))
      return 'remove it, secrets do not belong in this file: give the password in CERTSWEEP_REDIS_URL, redis://:<password>@host:port, or for sentinel and cluster in CERTSWEEP_REDIS_PASSWORD';
    const name = /secret|^sk$/i.test(key)
      ? 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'
      : /token/i.test(key)
        ? 'ALIBABA_CLOUD_SECURITY_TOKEN'
        : 'ALIBABA_CLOUD_ACCESS_KEY_ID';
    return `remove it, secrets do not belong in this file: set the environment variable ${name}, or one that credentials names`;
  }
  const known = knownKeys(section);
  const meant = nearest(key, known);
  return meant === undefined
    ? `unknown key; known here are ${known.join(', ')}`
    : `unknown key, did you mean ${meant}?`;
}

function knownKeys(section: readonly Step[]): string[] {
  return Object.keys(Object(valueAt(schemaAt(section), ['properties'])));
}

/** The JSON Schema of a key: plain data, without zod's wrappers for defaults. */
function schemaAt(steps: readonly Step[]): unknown {
  let schema: unknown = configJsonSchema();
  for (const step of steps) schema = valueAt(schema, ['properties', step]) ?? valueAt(schema, ['additionalProperties']);
  return schema;
}

function valueAt(value: unknown, steps: readonly Step[]): unknown {
  let found = value;
  for (const step of steps) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, step)) return undefined;
    found = Reflect.get(found, step);
  }
  return found;
}
