// npm run messages: prints every text that people may read, file by file: errors, findings of doctor, log messages, what commands say and ask.
// What is filled in stands as <name>. To be read from start to end after a change of words.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'oxc-parser';

/** Fewer words are names, keys and codes. */
const LEAST_WORDS = 4;
const LUA = /redis\.call|local /;

let count = 0;
for (const file of sources()) {
  const texts = textsOf(file, readFileSync(file, 'utf8'));
  if (texts.length === 0) continue;
  console.log(`\n${file}`);
  for (const { line, text } of texts) console.log(`  ${String(line).padStart(3)}  ${text}`);
  count += texts.length;
}
console.log(`\n${count} messages`);

function sources() {
  const files = readdirSync('src', { recursive: true, withFileTypes: true });
  return files.flatMap((file) => (file.name.endsWith('.ts') ? [join(file.parentPath, file.name)] : [])).toSorted();
}

function textsOf(file, source) {
  const texts = [];
  const visit = (node) => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (node === null || typeof node !== 'object' || node.type === 'ImportDeclaration') return;
    const text = textOf(node, source);
    if (text === undefined) Object.values(node).forEach(visit);
    else if (isForPeople(text)) texts.push({ line: source.slice(0, node.start).split('\n').length, text });
  };
  visit(parseSync(file, source).program);
  return texts;
}

/** A literal, or several that are joined by `+`. */
function textOf(node, source) {
  const named = ({ start, end }) => `<${source.slice(start, end).replaceAll(/\s+/gu, ' ')}>`;
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value;
  if (node.type === 'TemplateLiteral') {
    return node.quasis
      .map(({ value }, at) => value.cooked + (at in node.expressions ? named(node.expressions[at]) : ''))
      .join('');
  }
  if (node.type !== 'BinaryExpression' || node.operator !== '+') return undefined;
  const [left, right] = [textOf(node.left, source), textOf(node.right, source)];
  if (left === undefined && right === undefined) return undefined;
  return (left ?? named(node.left)) + (right ?? named(node.right));
}

function isForPeople(text) {
  return !LUA.test(text) && text.trim().split(/\s+/u).length >= LEAST_WORDS && /[a-z]{3}/u.test(text);
}
