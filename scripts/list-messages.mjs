// npm run messages: prints every text that people may read, file by file: errors, findings of doctor, log messages, what commands say and ask.
// Each is an example, with values filled in. Where another value changes the words, a second example follows.
// What has no sample is ‹in these›, and then the exit code is 1. To be read from start to end after a change of words.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { parseSync } from 'oxc-parser';
import { sampleOfCode } from './message-samples-by-code.mjs';
import { hasSample, sampleOf } from './message-samples.mjs';

/** Fewer words are names, keys and codes. */
const LEAST_WORDS = 4;
const LUA = /redis\.call|local |KEYS\[|^\['/;
/** Pictures, JSON, headers and what moves a cursor. */
const NO_PROSE = /^\s*[[{]|^<svg|^HTTP\/|^default-src|^id: |^\r|^-----BEGIN|<html>/;
/** What a value without a sample leaves in an example. */
const UNFILLED = /‹|\bundefined\b|\bNaN\b|\[object /;
const CONSTANT = /^[A-Z][A-Z0-9_]+$/;
const TYPES = new Set(['TSTypeAnnotation', 'TSTypeParameterDeclaration', 'TSTypeParameterInstantiation']);
/** More of its code is not what a message needs. */
const LONGEST_EVALUATION_MS = 200;

const sandbox = createContext({});
let [count, unfilled] = [0, 0];
const files = sources().map((file) => {
  const source = readFileSync(file, 'utf8');
  return { file, source, program: parseSync(file, source).program };
});
const constants = constantsOf(files);
const declared = files.flatMap(({ source, program }) => [...declaredIn(program.body, source)]);
// What a file imports is found by its name: of two with one name, that of another file is an exported one.
const exported = files.flatMap(({ source, program }) => [
  ...declaredIn(
    program.body.filter(({ type }) => type === 'ExportNamedDeclaration'),
    source,
  ),
]);
const everywhere = new Map([...declared, ...exported]);
for (const { file, source, program } of files) {
  const texts = textsOf(program, source, file);
  if (texts.length === 0) continue;
  console.log(`\n${file}`);
  for (const { line, examples } of texts) {
    const [first, second] = examples.map((text) => text.trim().replaceAll('\n', '\n       '));
    console.log(`  ${String(line).padStart(3)}  ${first}`);
    if (second !== undefined) console.log(`   or  ${second}`);
  }
  count += texts.length;
  unfilled += texts.filter(({ examples }) => examples.some((text) => UNFILLED.test(text))).length;
}
console.log(`\n${count} messages, ${unfilled} without a sample of a value`);
process.exitCode = unfilled === 0 ? 0 : 1;

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
        if (!init || !CONSTANT.test(id?.name ?? '') || typeof found.get(id.name) === 'object') continue;
        const value = valueOf(withoutTypes(init, source), { isMany: true, known: found, scopes: [] });
        if (isPlain(value) || (Array.isArray(value) && value.every(isPlain))) found.set(id.name, value);
      }
    }
  }
  return found;
}

/** Constants and functions that stand in these statements: their code by name, without its types. */
function declaredIn(statements, source) {
  const found = new Map();
  for (const statement of statements) {
    const node = statement.declaration ?? statement;
    if (node.type === 'FunctionDeclaration' && node.body && !node.async)
      found.set(node.id.name, withoutTypes(node, source));
    for (const { id, init } of node.kind === 'const' ? node.declarations : [])
      if (id.type === 'Identifier' && init) found.set(id.name, withoutTypes(init, source));
  }
  return found;
}

/** The code of a node as JavaScript. */
function withoutTypes(node, source) {
  const gaps = [];
  const visit = (inner) => {
    if (Array.isArray(inner)) return inner.forEach(visit);
    if (inner === null || typeof inner !== 'object') return;
    if (TYPES.has(inner.type)) return void gaps.push([inner.start, inner.end]);
    if (/^TS(?:As|Satisfies|NonNull)/u.test(inner.type ?? '')) gaps.push([inner.expression.end, inner.end]);
    Object.values(inner).forEach(visit);
  };
  visit(node);
  let [code, end] = ['', node.start];
  for (const [from, to] of gaps.toSorted(([one], [other]) => one - other)) {
    if (from < end) continue;
    code += source.slice(end, from);
    end = to;
  }
  return code + source.slice(end, node.end);
}

function textsOf(program, source, file) {
  const texts = [];
  const visit = (node, scopes) => {
    if (Array.isArray(node)) return node.forEach((one) => visit(one, scopes));
    if (node === null || typeof node !== 'object' || node.type === 'ImportDeclaration') return;
    const isMarkup = node.type === 'TaggedTemplateExpression' && node.tag.name === 'markup';
    const text = textOf(isMarkup ? node.quasi : node, source, scopes, file);
    if (text === undefined) {
      const inner = Array.isArray(node.body) ? [declaredIn(node.body, source), ...scopes] : scopes;
      return Object.values(node).forEach((one) => visit(one, inner));
    }
    if (!isForPeople(isMarkup ? withoutTags(text(false, true)) : text(false, true))) return;
    const filled = [true, false].map((isMany) => text(true, isMany)).map(isMarkup ? withoutTags : (one) => one);
    const examples = filled.filter((one, at) => at === 0 || wordsOf(one) !== wordsOf(filled[0]));
    texts.push({ line: source.slice(0, node.start).split('\n').length, examples });
    if (isMarkup) visit(node.quasi.expressions, scopes);
  };
  visit(program, [everywhere]);
  return texts;
}

/** A literal, or several that are joined by `+`: a function that says it, with values or with what stands in the source. */
function textOf(node, source, scopes, file) {
  const named = (inner) => {
    const code = withoutTypes(inner, source).replaceAll(/\bawait /gu, '');
    return (isFilled, isMany) => {
      const counted = code.replaceAll(/\b[\w.]+\.(?:length|size)\b/gu, isMany ? '1234' : '1');
      const name = code.replaceAll(/\s+/gu, ' ');
      const value = isFilled
        ? (sampleOfCode(file, name, isMany) ?? valueOf(counted, { isMany, known: constants, scopes }))
        : undefined;
      return value === undefined ? `‹${name}›` : String(value);
    };
  };
  if (node.type === 'Literal' && typeof node.value === 'string') return () => node.value;
  if (node.type === 'TemplateLiteral') {
    const parts = node.expressions.map(named);
    return (...how) => node.quasis.map(({ value }, at) => value.cooked + (parts[at]?.(...how) ?? '')).join('');
  }
  if (node.type !== 'BinaryExpression' || node.operator !== '+') return undefined;
  const sides = [node.left, node.right].map((side) => textOf(side, source, scopes, file));
  if (sides.every((side) => side === undefined)) return undefined;
  const [left, right] = [sides[0] ?? named(node.left), sides[1] ?? named(node.right)];
  return (...how) => left(...how) + right(...how);
}

/** What the code evaluates to with samples for all it names; undefined where it cannot be evaluated. */
function valueOf(code, given) {
  try {
    const value = evaluate(code, { ...given, under: new Set() });
    if (isPlain(value) || Array.isArray(value)) return value;
    return typeof value === 'object' || value?.[Symbol.toPrimitive] !== undefined ? String(value) : undefined;
  } catch {
    return undefined;
  }
}

/** A name is its sample, else what its declaration evaluates to, else a text that shows the name. */
function evaluate(code, { isMany, known, scopes, under }) {
  const valueOfName = (name) => {
    if (hasSample(name, known)) return sampleOf(name, isMany, known);
    const at = scopes.findIndex((scope) => scope.has(name));
    if (at === -1 || under.has(name)) return sampleOf(name, isMany, known);
    try {
      const inner = { isMany, known, scopes: scopes.slice(at), under: new Set([...under, name]) };
      const value = evaluate(scopes[at].get(name), inner);
      const isUsable = isPlain(value) || Array.isArray(value) || scopes[at] === everywhere;
      return isUsable && value !== undefined ? value : sampleOf(name, isMany, known);
    } catch {
      return sampleOf(name, isMany, known);
    }
  };
  const get = (_, key) => (typeof key === 'symbol' ? undefined : valueOfName(key));
  sandbox.scope = new Proxy({}, { has: (_, key) => key !== 'scope', get });
  return runInContext(`with (scope) { (${code}); }`, sandbox, { timeout: LONGEST_EVALUATION_MS });
}

function isPlain(value) {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function isForPeople(text) {
  const words = text.trim().split(/\s+/u);
  return (
    !LUA.test(text) &&
    !NO_PROSE.test(text) &&
    words.length >= LEAST_WORDS &&
    /[a-z]{2}/iu.test(text.replaceAll(/‹[^›]*›/gu, ''))
  );
}

/** What a reader sees of a page; the markup in it is an example of its own. */
function withoutTags(text) {
  return text
    .replaceAll(/‹[^›]*›/gu, '…')
    .replaceAll(/<\/?[a-z!][^<>]*>/giu, ' ')
    .replaceAll(/\s+/gu, ' ')
    .trim();
}

function wordsOf(text) {
  return text.replaceAll(/[\d,]+/gu, '0');
}
