import { resolve } from 'node:path';
import { fileVariableOf, readSecret, SecretUnreadable } from '../secret.ts';
import type { Environment } from './config.ts';
import { looksSecret, nearest, showPath, showUnknown } from './faults.ts';
import type { ConfigFault, Step } from './faults.ts';
import { JOB_KEY_VARIABLES } from './job-key.ts';
import { TOKEN_VARIABLES } from './token.ts';
import { REDIS_VARIABLES } from './redis-schema.ts';

/** A document before it is checked. */
export type Mapping = Record<string, unknown>;

interface Variable {
  readonly name: string;
  /** The key it sets. */
  readonly steps: readonly string[];
  readonly read: (text: string) => unknown;
  /** May stand in a file instead. */
  readonly isSecret?: boolean;
}

/** The one variable that is no key: which file to read. */
export const FILE_VARIABLE = 'CERTSWEEP_CONFIG';
const PREFIX = 'CERTSWEEP_';
/** The account that the environment alone defines. */
const ACCOUNT = ['accounts', 'default'];

const VARIABLES: readonly Variable[] = [
  { name: 'CERTSWEEP_REDIS_URL', steps: ['redis', 'url'], read: asText, isSecret: true },
  { name: 'CERTSWEEP_REDIS_SENTINEL_NAME', steps: ['redis', 'sentinel', 'name'], read: asText },
  { name: 'CERTSWEEP_REDIS_SENTINEL_NODES', steps: ['redis', 'sentinel', 'nodes'], read: asList },
  { name: 'CERTSWEEP_REDIS_CLUSTER_NODES', steps: ['redis', 'cluster', 'nodes'], read: asList },
  { name: 'CERTSWEEP_REDIS_TLS_CA_FILE', steps: ['redis', 'tls', 'caFile'], read: asPath },
  { name: 'CERTSWEEP_REDIS_APPEND_FSYNC', steps: ['redis', 'appendFsync'], read: asText },
  // Relative to where the command is run, as everywhere in a shell.
  { name: 'CERTSWEEP_DATA_DIR', steps: ['dataDir'], read: asPath },
  { name: 'CERTSWEEP_EGRESS_ID', steps: ['egress', 'id'], read: asText },
  { name: 'CERTSWEEP_EGRESS_QPS', steps: ['egress', 'qps'], read: asNumber },
  { name: 'CERTSWEEP_EGRESS_LOCAL_ADDRESS', steps: ['egress', 'localAddress'], read: asText },
  { name: 'CERTSWEEP_NOT_FOUND', steps: ['notFound'], read: asText },
  { name: 'CERTSWEEP_RETRY_ATTEMPTS', steps: ['retry', 'attempts'], read: asNumber },
  { name: 'CERTSWEEP_RETRY_BASE_MS', steps: ['retry', 'baseMs'], read: asNumber },
  { name: 'CERTSWEEP_RETRY_CAP_MS', steps: ['retry', 'capMs'], read: asNumber },
  { name: 'CERTSWEEP_CALL_DEADLINE_MS', steps: ['callDeadlineMs'], read: asNumber },
  { name: 'CERTSWEEP_LATE_MS', steps: ['limiter', 'lateMs'], read: asNumber },
  { name: 'CERTSWEEP_HEALTH_PORT', steps: ['health', 'port'], read: asNumber },
  { name: 'CERTSWEEP_HEALTH_HOST', steps: ['health', 'host'], read: asText },
  { name: 'CERTSWEEP_HTTP_HOST', steps: ['http', 'host'], read: asText },
  { name: 'CERTSWEEP_HTTP_PORT', steps: ['http', 'port'], read: asNumber },
  { name: 'CERTSWEEP_HTTP_BASE_PATH', steps: ['http', 'basePath'], read: asText },
  { name: 'CERTSWEEP_HTTP_PUBLIC_URL', steps: ['http', 'publicUrl'], read: asText },
  { name: 'CERTSWEEP_APPROVALS_ABOVE', steps: ['approvals', 'above'], read: asNumber },
  { name: 'CERTSWEEP_LOG_LEVEL', steps: ['log', 'level'], read: asText },
  { name: 'CERTSWEEP_AUDIT_FILE', steps: ['audit', 'file'], read: asPath },
  { name: 'CERTSWEEP_REGION', steps: [...ACCOUNT, 'region'], read: asText },
  { name: 'CERTSWEEP_ENDPOINT', steps: [...ACCOUNT, 'endpoint'], read: asText },
  { name: 'CERTSWEEP_ENDPOINT_IS_TRUSTED', steps: [...ACCOUNT, 'endpointIsTrusted'], read: asBoolean },
  { name: 'CERTSWEEP_INSTANCES', steps: [...ACCOUNT, 'instances'], read: asList },
  { name: 'CERTSWEEP_ACCOUNT_QPS', steps: [...ACCOUNT, 'limits', 'qps'], read: asNumber },
];

/** The variable of each key that has one, for the documents: `accounts.default` means any account there. */
export function variablesByKey(): ReadonlyMap<string, string> {
  return new Map(VARIABLES.map(({ name, steps }) => [steps.join('.'), name]));
}

function namesOf({ name, isSecret = false }: Variable): readonly string[] {
  return isSecret ? [name, fileVariableOf(name)] : [name];
}

/** What the environment made of a document. */
export interface Merged {
  readonly faults: readonly ConfigFault[];
  /** How a person must be told the place of a key: by the variable that set it, or should have. */
  placeOf(steps: readonly Step[]): string;
}

/**
 * Writes what the variables say into the document, over what the file said.
 * @param file - what to call the file, when there is one
 */
export function mergeEnvironment(document: Mapping, environment: Environment, file: string | undefined): Merged {
  const faults: ConfigFault[] = [];
  const set = new Set(
    VARIABLES.filter((variable) => namesOf(variable).some((name) => environment[name] !== undefined)),
  );
  const ofAccount = VARIABLES.filter(({ steps }) => steps[0] === 'accounts');
  const fileHasAccounts = document['accounts'] !== undefined && Object.keys(Object(document['accounts'])).length > 0;
  const sections = new Set<string>();
  for (const variable of set) {
    const { name, steps, read, isSecret = false } = variable;
    let text: string;
    try {
      text = (isSecret ? readSecret(environment, name) : environment[name]) ?? '';
    } catch (error) {
      if (!(error instanceof SecretUnreadable)) throw error;
      faults.push({ path: fileVariableOf(name), value: 'not usable', remedy: error.message });
      continue;
    }
    if (text === '') {
      faults.push({ path: name, value: '""', remedy: 'give it a value, or unset it: an empty one may be a mistake' });
    } else if (ofAccount.includes(variable) && fileHasAccounts) {
      const remedy = `unset it, or take the accounts out of ${file ?? 'the file'}: it defines an account of its own`;
      faults.push({ path: name, value: showUnknown(name, text), remedy });
    } else {
      put(document, steps, read(text));
      sections.add(steps.slice(0, 2).join('.'));
    }
  }
  // What is missing from a section that the environment began is missing from the environment.
  const begun = VARIABLES.filter(({ steps }) => steps.length > 2 && sections.has(steps.slice(0, 2).join('.')));
  const named = [...set, ...begun];
  return {
    faults: [...unknownVariables(document, environment), ...faults],
    placeOf: (at) => named.find(({ steps }) => steps.every((step, depth) => at[depth] === step))?.name ?? showPath(at),
  };
}

function unknownVariables(document: Mapping, environment: Environment): ConfigFault[] {
  const known = [FILE_VARIABLE, ...VARIABLES.flatMap(namesOf), ...JOB_KEY_VARIABLES, ...TOKEN_VARIABLES];
  const variables = [...credentialVariables(document)].map(String);
  const referred = new Set([...variables, ...variables.map(fileVariableOf)]);
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined || !name.startsWith(PREFIX) || known.includes(name) || referred.has(name)) return [];
    if (isServiceLink(name, value)) return [];
    const meant = nearest(
      name.slice(PREFIX.length),
      known.map((other) => other.slice(PREFIX.length)),
    );
    let remedy = `unset it; known are ${known.join(', ')}`;
    if (meant !== undefined) remedy = `unknown variable, did you mean ${PREFIX}${meant}?`;
    if (name.startsWith('CERTSWEEP_REDIS_') && looksSecret(name)) {
      remedy =
        'it is for redis.sentinel and redis.cluster: give the password in CERTSWEEP_REDIS_URL, redis://:<password>@host:port';
    } else if (looksSecret(name)) {
      remedy =
        'no account names it: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or name it in accounts.<name>.credentials';
    }
    return [{ path: name, value: showUnknown(name, value), remedy }];
  });
}

/** Kubernetes tells every pod of a namespace where its services are, in variables that begin with the service's name: certsweep, say. */
function isServiceLink(name: string, value: string): boolean {
  return /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)/.test(name) || /^(tcp|udp|sctp):\/\//.test(value);
}

/** The variables that hold secrets, as accounts and Redis name them; the document is not checked yet. */
function credentialVariables(document: Mapping): Set<unknown> {
  const accounts: unknown[] = Object.values(Object(document['accounts']));
  const ofAccounts = accounts.flatMap((account): unknown[] => {
    const credentials: unknown = isMapping(account) ? account['credentials'] : undefined;
    return isMapping(credentials) ? Object.values(credentials) : [];
  });
  return new Set([...ofAccounts, ...redisVariables(document['redis'])]);
}

function redisVariables(redis: unknown): unknown[] {
  if (!isMapping(redis) || (redis['sentinel'] === undefined && redis['cluster'] === undefined)) return [];
  const { sentinelPasswordEnv, ...ofBoth } = REDIS_VARIABLES;
  const names = redis['sentinel'] === undefined ? ofBoth : { ...ofBoth, sentinelPasswordEnv };
  return Object.entries(names).map(([key, name]) => redis[key] ?? name);
}

/** Leaves a document alone whose section is no mapping: the schema will say so. */
function put(document: Mapping, steps: readonly string[], value: unknown): void {
  let section: Mapping = document;
  for (const step of steps.slice(0, -1)) {
    const below = (section[step] ??= {});
    if (!isMapping(below)) return;
    section = below;
  }
  const last = steps.at(-1);
  if (last !== undefined) section[last] = value;
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asText(text: string): string {
  return text;
}

function asPath(text: string): string {
  return text.startsWith('~') ? text : resolve(text);
}

/** Anything but plain digits stays text, and is refused with the text a person wrote. */
function asNumber(text: string): unknown {
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
}

/** Anything else stays text, and is refused with the text a person wrote. */
function asBoolean(text: string): unknown {
  return text === 'true' ? true : text === 'false' ? false : text;
}

function asList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
