// Renders the parts of docs/configuration.md and docs/commands.md that come from the code: the configuration's schema with its variables, and
// the built command's own --help. What stands above the marker in each page is written by hand.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createProgram, loadCommands } from '../dist/cli/program.js';
import { configJsonSchema } from '../dist/runtime/config/schema.js';
import { variablesByKey } from '../dist/runtime/config/variables.js';

const MARKER = '<!-- Generated below by `npm run docs`; do not edit. -->';
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** All commands. */
const COMMANDS = await loadCommands();

/** Path from the root to what the page must hold. */
export function generatedPages() {
  return new Map([
    ['docs/configuration.md', page('docs/configuration.md', configuration())],
    ['docs/commands.md', page('docs/commands.md', commands())],
  ]);
}

function page(path, generated) {
  const [head, ...rest] = readFileSync(`${ROOT}${path}`, 'utf8').split(MARKER);
  if (rest.length !== 1) throw new Error(`${path} must have the line ${MARKER} once`);
  const text = `${head}${MARKER}\n\n${generated}`;
  return execFileSync('npx', ['oxfmt', `--stdin-filepath=${path}`], { cwd: ROOT, encoding: 'utf8', input: text });
}

function configuration() {
  const variables = variablesByKey();
  const sections = [];
  const general = [];
  for (const [name, schema] of Object.entries(configJsonSchema().properties)) {
    // Accounts and schedules are many, each with a name.
    const isNamed = schema.additionalProperties?.properties !== undefined;
    const path = isNamed ? [name, '<name>'] : [name];
    const inner = isNamed ? schema.additionalProperties : schema;
    if (inner.properties === undefined) general.push(...keys(path, inner, variables));
    else sections.push({ title: code(path.join('.')), about: schema.description, rows: keys(path, inner, variables) });
  }
  const tables = [
    { title: 'Keys of no section', about: 'They stand at the top of the file.', rows: general },
    ...sections,
  ];
  return tables.map(({ title, about, rows }) => `## ${title}\n\n${about}\n\n${table(rows)}`).join('\n');
}

/** One row for each key that holds a value. */
function keys(path, schema, variables) {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, below]) => keys([...path, name], below, variables));
  }
  const variable = variables.get(path.join('.').replace('<name>', 'default'));
  return [[code(path.join('.')), valuesOf(schema), code(schema.default), code(variable), schema.description ?? '']];
}

function valuesOf({ type, enum: words, minimum, exclusiveMinimum, maximum, anyOf, items }) {
  if (words !== undefined) return code(words.join(' | '));
  if (type === 'boolean') return code('true | false');
  if (type === 'integer') return `${minimum} to ${maximum}`;
  if (type === 'number')
    return minimum === undefined
      ? `a number above ${exclusiveMinimum}, at most ${maximum}`
      : `a number from ${minimum} to ${maximum}`;
  if (type === 'array') return items.type === 'object' ? 'a list of entries' : 'a list of text';
  if (anyOf?.some(({ type: one }) => one === 'array')) return 'text, or a list of text';
  return anyOf === undefined ? 'text' : 'an IP address';
}

function table(rows) {
  const head = ['key', 'values', 'default', 'environment', 'meaning'];
  const cells = [head, head.map(() => '---'), ...rows];
  return `${cells.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')}\n`;
}

function code(value) {
  // An empty list, or an empty text, is none.
  return value === undefined || String(value) === '' ? '' : `\`${value}\``;
}

function commands() {
  const { commands: all } = createProgram(COMMANDS);
  return [['certsweep'], ...all.flatMap((command) => namesOf(command, ['certsweep']))]
    .map((names) => `## ${names.join(' ')}\n\n\`\`\`text\n${help(names.slice(1))}\n\`\`\`\n`)
    .join('\n');
}

function namesOf(command, above) {
  const names = [...above, command.name()];
  return [names, ...command.commands.flatMap((below) => namesOf(below, names))];
}

function help(names) {
  const env = { ...process.env, NO_COLOR: '1' };
  return execFileSync(process.execPath, [`${ROOT}dist/cli/main.js`, ...names, '--help'], {
    encoding: 'utf8',
    env,
  }).trimEnd();
}
