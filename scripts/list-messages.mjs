// npm run messages: prints every text that people may read, file by file: errors, findings of doctor, log messages, what commands say and ask.
// Each is an example, with values filled in. Where another value changes the words, a second example follows. What has no sample is <name>.
// To be read from start to end after a change of words.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { parseSync } from 'oxc-parser';
import { sampleOf } from './message-samples.mjs';

/** Fewer words are names, keys and codes. */
const LEAST_WORDS = 4;
const LUA = /redis\.call|local |KEYS\[/;
const CONSTANT = /^[A-Z][A-Z0-9_]+$/;

const sandbox = createContext({});
let count = 0;
const files = sources().map((file) => {
  const source = readFileSync(file, 'utf8');
  return { file, source, program: parseSync(file, source).program };
});
const constants = constantsOf(files);
for (const { file, source, program } of files) {
  const texts = textsOf(program, source);
  if (texts.length === 0) continue;
  console.log(`\n${file}`);
  for (const { line, examples } of texts) {
    const [first, second] = examples.map((text) => text.trim().replaceAll('\n', '\n       '));
    console.log(`  ${String(line).padStart(3)}  ${first}`);
    if (second !== undefined) console.log(`   or  ${second}`);
  }
  count += texts.length;
}
console.log(`\n${count} messages`);

function sources() {
  const found = readdirSync('src', { recursive: true, withFileTypes: true });
  return found.flatMap((file) => (file.name.endsWith('.ts') ? [join(file.parentPath, file.name)] : [])).toSorted();
}

/** Constants of all files by name, where they are text, numbers or lists of them. */
function constantsOf(all) {
  const found = new Map();
  for (const { source, program } of all) {
    for (const statement of program.body) {
      const { declarations = [] } = statement.declaration ?? statement;
      for (const { id, init } of declarations) {
        if (!init || !CONSTANT.test(id?.name ?? '') || found.has(id.name)) continue;
        const value = valueOf(source.slice(init.start, init.end).replace(/ as const$/u, ''), true, found);
        if (isPlain(value) || (Array.isArray(value) && value.every(isPlain))) found.set(id.name, value);
      }
    }
  }
  return found;
}

function textsOf(program, source) {
  const texts = [];
  const visit = (node) => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (node === null || typeof node !== 'object' || node.type === 'ImportDeclaration') return;
    const isMarkup = node.type === 'TaggedTemplateExpression' && node.tag.name === 'markup';
    const text = textOf(isMarkup ? node.quasi : node, source);
    if (text === undefined) return Object.values(node).forEach(visit);
    if (!isForPeople(isMarkup ? withoutTags(text(false, true)) : text(false, true))) return;
    const filled = [true, false].map((isMany) => text(true, isMany)).map(isMarkup ? withoutTags : (one) => one);
    const examples = filled.filter((one, at) => at === 0 || wordsOf(one) !== wordsOf(filled[0]));
    texts.push({ line: source.slice(0, node.start).split('\n').length, examples });
  };
  visit(program);
  return texts;
}

/** A literal, or several that are joined by `+`: a function that says it, with values or with what stands in the source. */
function textOf(node, source) {
  const named = ({ start, end }) => {
    const code = source.slice(start, end);
    return (isFilled, isMany) => {
      const value = isFilled ? valueOf(code, isMany, constants) : undefined;
      return value === undefined ? `<${code.replaceAll(/\s+/gu, ' ')}>` : String(value);
    };
  };
  if (node.type === 'Literal' && typeof node.value === 'string') return () => node.value;
  if (node.type === 'TemplateLiteral') {
    const parts = node.expressions.map(named);
    return (...how) => node.quasis.map(({ value }, at) => value.cooked + (parts[at]?.(...how) ?? '')).join('');
  }
  if (node.type !== 'BinaryExpression' || node.operator !== '+') return undefined;
  const sides = [node.left, node.right].map((side) => textOf(side, source));
  if (sides.every((side) => side === undefined)) return undefined;
  const [left, right] = [sides[0] ?? named(node.left), sides[1] ?? named(node.right)];
  return (...how) => left(...how) + right(...how);
}

/** What the code evaluates to with samples for all it names; undefined where it cannot be evaluated. */
function valueOf(code, isMany, known) {
  const get = (_, key) => (typeof key === 'symbol' ? undefined : sampleOf(key, isMany, known));
  sandbox.scope = new Proxy({}, { has: (_, key) => key !== 'scope', get });
  try {
    const value = runInContext(`with (scope) { (${code}); }`, sandbox);
    return isPlain(value) || Array.isArray(value) || value === undefined ? value : String(value);
  } catch {
    return undefined;
  }
}

function isPlain(value) {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function isForPeople(text) {
  return !LUA.test(text) && text.trim().split(/\s+/u).length >= LEAST_WORDS && /[a-z]{3}/u.test(text);
}

function withoutTags(text) {
  return text
    .replaceAll(/<\/?[a-z!][^<>]*>/giu, ' ')
    .replaceAll(/\s+/gu, ' ')
    .trim();
}

function wordsOf(text) {
  return text.replaceAll(/[\d,]+/gu, '0');
}
