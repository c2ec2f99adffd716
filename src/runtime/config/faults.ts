/** One thing wrong with the configuration. */
export interface ConfigFault {
  /** The key (`accounts.eu.limits.qps`), the environment variable, or the place in the file. */
  readonly path: string;
  /** What stands there, for a person; secrets masked. */
  readonly value: string;
  /** The next step. */
  readonly remedy: string;
}

/** The configuration cannot be used. The message is complete for a person: every fault with its path, value and remedy. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  /** @param source - the file's path, or `environment` */
  constructor(source: string, faults: readonly ConfigFault[], options?: ErrorOptions) {
    const head = `The configuration (${source}) has ${faults.length} fault${faults.length === 1 ? '' : 's'}:`;
    const lines = faults.map(({ path, value, remedy }) => `  ${path} is ${value}: ${remedy}`);
    super([head, ...lines].join('\n'), options);
    this.faults = faults;
  }
}

/** A step into the document: a key, or a position in a list. */
export type Step = string | number;

const MASK = '***';
const LONGEST_SHOWN = 80;

/** `accounts.eu.instances[0]`. */
export function showPath(steps: readonly Step[]): string {
  let shown = '';
  for (const step of steps) {
    if (typeof step === 'number') shown += `[${step}]`;
    else shown += shown === '' ? step : `.${step}`;
  }
  return shown;
}

/** A value of a known key for a person: what may be a secret is masked, and what is long or nested is only measured. */
export function showValue(value: unknown, steps: readonly Step[]): string {
  if (typeof value !== 'string') return showKind(value);
  // Here people put the secret itself where its variable's name belongs.
  if (steps.includes('credentials') || String(steps.at(-1)).endsWith('Env')) return MASK;
  const shown = maskText(value);
  return JSON.stringify(shown.length > LONGEST_SHOWN ? `${shown.slice(0, LONGEST_SHOWN)}...` : shown);
}

/** A value of an unknown key: nobody knows what it is, so a text is not shown. */
export function showUnknown(key: string, value: unknown): string {
  return looksSecret(key) || typeof value === 'string' ? MASK : showKind(value);
}

/** Keys that would hold a secret; a name that ends in Env says where it is instead. */
export function looksSecret(key: string): boolean {
  return /secret|passw|token|access.?key|credential|^(ak|sk|pwd)$/i.test(key) && !/env$/i.test(key);
}

/** Takes user, password and query off a URL; anything that is not one keeps nothing that could be a password. */
function maskText(text: string): string {
  if (/^(LTAI|STS\.)/.test(text)) return MASK;
  if (!/^[a-z][a-z0-9+.-]*:/i.test(text))
    return text.includes('@') ? `${MASK}${text.slice(text.lastIndexOf('@'))}` : text;
  const hasUser = text.includes('@');
  // Greedy: a password that was not percent-encoded may hold "@", "/" and "?" itself.
  const masked = text.replace(/^([a-z][a-z0-9+.-]*:(?:\/\/)?).*@/is, `$1${MASK}@`);
  if (!hasUser && !URL.canParse(text)) return text.replace(/^([a-z][a-z0-9+.-]*:(?:\/\/)?).*$/is, `$1${MASK}`);
  return masked.replace(/[?#].*$/s, `?${MASK}`);
}

function showKind(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'object' ? `a mapping of ${Object.keys(value).length}` : `a ${typeof value}`;
}

/** The known word a person most likely meant; undefined when none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const farthest = Math.max(2, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = farthest + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Insertions, deletions and replacements from one word to the other (Levenshtein), one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 1; at <= from.length; at += 1) {
    const next = [at];
    for (let index = 1; index <= to.length; index += 1) {
      const replaced = (row[index - 1] ?? 0) + (from[at - 1] === to[index - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[index] ?? 0) + 1, (next[index - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
