// npm run docs:check: what the documents say must hold. Ends with "N faults" and exit code 1 where there are any.
//
// - Relative links lead to files and headings that exist.
// - Files that are named in backticks exist (src/..., test/..., docs/..., config/..., scripts/..., bench/...).
// - Examples of certsweep parse: commander's own parser reads them, so an unknown command or option is a fault.
// - Generated pages are what `npm run docs` writes.
// - Nothing uses a word that a reader has to look up.
// - README.md has at most 220 lines; no paragraph, list item or table cell of README.md, SECURITY.md and docs/ has more than 300 characters.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { createProgram, loadCommands } from '../dist/cli/program.js';
import { generatedPages } from './generate-docs.mjs';

const README_LINES = 220;
const LONGEST = 300;
const EXAMPLE_LANGUAGES = ['sh', 'bash', 'console'];
/** Each has a usual word: again, anyone who, fix. */
const UNUSUAL =
  /\b(?:anew|whoever|mend(?:s|ed|ing)?)\b|\bis to be seen\b|\btold in the log\b|\bof no use\b|\bmade good\b/i;
/** All commands. */
const COMMANDS = await loadCommands();
const PLACES = /^(?:src|test|docs|config|scripts|bench)\/[\w./-]*$/;

const faults = [];
const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...markdownIn('docs')];
let [links, examples] = [0, 0];
for (const path of pages) {
  const page = read(path);
  checkLinks(path, page);
  checkExamples(path, page);
  if (path === 'CHANGELOG.md') continue;
  checkNamedFiles(path, page);
  if (path !== 'CONTRIBUTING.md') checkLengths(path, page);
}
for (const path of [...pages, ...sourcesIn('src'), ...sourcesIn('test')]) checkWords(path);
for (const [path, text] of generatedPages()) {
  if (readFileSync(path, 'utf8') !== text) fault(path, 1, 'is not what the code says now: run npm run docs');
}
for (const text of faults) console.log(text);
console.log(`${pages.length} pages, ${links} links, ${examples} examples: ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;

function fault(path, line, what) {
  faults.push(`${path}:${line}: ${what}`);
}

function markdownIn(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
    .toSorted();
}

function sourcesIn(folder) {
  const names = readdirSync(folder, { recursive: true });
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name));
}

function checkWords(path) {
  const lines = readFileSync(path, 'utf8').split('\n');
  for (const [at, text] of lines.entries()) {
    const [found] = UNUSUAL.exec(text) ?? [];
    if (found !== undefined) fault(path, at + 1, `says "${found}": write again, anyone who, fix, or what you mean`);
  }
}

/** The page as lines of prose and blocks of code, each with its line number. */
function read(path) {
  const [prose, blocks] = [[], []];
  let block;
  readFileSync(path, 'utf8')
    .split('\n')
    .forEach((text, at) => {
      const line = at + 1;
      const fence = /^\s*```(\w*)/.exec(text);
      if (fence !== null) {
        if (block === undefined) blocks.push((block = { language: fence[1], lines: [] }));
        else block = undefined;
        prose.push({ line, text: '' });
      } else if (block !== undefined) {
        block.lines.push({ line, text });
        prose.push({ line, text: '' });
      } else {
        prose.push({ line, text });
      }
    });
  return { prose, blocks };
}

function checkLinks(path, { prose }) {
  for (const { line, text } of prose) {
    for (const [, target] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      links += 1;
      if (/^[a-z]+:/.test(target)) continue;
      const [file, anchor] = target.split('#');
      const place = file === '' ? path : normalize(join(dirname(path), file));
      if (!existsSync(place)) fault(path, line, `links to ${target}, which does not exist`);
      else if (anchor !== undefined && !anchorsOf(place).has(anchor))
        fault(path, line, `${place} has no heading #${anchor}`);
    }
  }
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(path) {
  const anchors = new Set();
  for (const { text } of read(path).prose) {
    const title = /^#{1,6} (.*)$/.exec(text)?.[1];
    if (title === undefined) continue;
    const base = shown(title)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    let anchor = base;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${base}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

function checkNamedFiles(path, { prose }) {
  for (const { line, text } of prose) {
    for (const [, code] of text.matchAll(/`([^`]+)`/g)) {
      if (PLACES.test(code) && !existsSync(code)) fault(path, line, `names ${code}, which does not exist`);
    }
  }
}

function checkExamples(path, { prose, blocks }) {
  for (const { line, text } of prose) {
    for (const [, code] of text.matchAll(/`(certsweep(?: [^`]+)?)`/g)) checkExample(path, line, code, true);
  }
  for (const { language, lines } of blocks) {
    if (!EXAMPLE_LANGUAGES.includes(language)) continue;
    for (const { line, text } of lines) checkExample(path, line, text, false);
  }
}

function checkExample(path, line, text, isMention) {
  for (const args of certsweepCalls(text)) {
    examples += 1;
    const why = faultOfCall(args, isMention);
    if (why !== undefined) fault(path, line, `certsweep ${args.join(' ')}: ${why}`);
  }
}

/** The arguments of each certsweep in a line of shell, also where Compose runs it. */
function certsweepCalls(line) {
  const words = line
    .replace(/<n>/g, '1')
    .replace(/<([a-z][a-z.-]*)>/g, 'PLACEHOLDER')
    .replace(/(^|\s)#.*$/, '')
    .match(/"[^"]*"|'[^']*'|\d?>>?|<|&&|[|;&()]|[^\s|;&()<>]+/g);
  const calls = [];
  let call;
  let isTarget = false;
  for (const [at, word] of (words ?? []).entries()) {
    if (isTarget) isTarget = false;
    else if (/^(?:\d?>>?|<)$/.test(word)) isTarget = true;
    else if (/^(?:&&|[|;&()])$/.test(word)) call = undefined;
    else if (call !== undefined) call.push(word.replace(/^["']|["']$/g, ''));
    else if (
      word === 'certsweep' ||
      (/^(?:worker|cli)$/.test(word) && words.slice(0, at).join(' ').startsWith('docker compose run'))
    ) {
      calls.push((call = []));
    }
  }
  return calls;
}

/** @param isMention - in running text, where a command may be named without its arguments */
function faultOfCall(args, isMention) {
  const program = createProgram(COMMANDS);
  disarm(program);
  try {
    program.parse(args, { from: 'user' });
    return undefined;
  } catch (error) {
    if (error.exitCode === 0) return undefined;
    const isName =
      isMention && args.length <= 2 && ['commander.help', 'commander.missingArgument'].includes(error.code);
    return isName ? undefined : error.message;
  }
}

function disarm(command) {
  command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  if (command.commands.length === 0) command.action(() => undefined);
  for (const below of command.commands) disarm(below);
}

function checkLengths(path, { prose }) {
  if (path === 'README.md' && prose.length - 1 > README_LINES) {
    fault(path, prose.length - 1, `has ${prose.length - 1} lines, at most ${README_LINES} are allowed`);
  }
  for (const { line, text } of paragraphs(prose)) {
    const { length } = shown(text);
    if (length > LONGEST)
      fault(path, line, `has ${length} characters at once, at most ${LONGEST}: ${text.slice(0, 50)}...`);
  }
}

/** Paragraphs, list items and table cells. */
function paragraphs(prose) {
  const found = [];
  let open;
  for (const { line, text } of prose) {
    const bare = text.replace(/^\s*>\s?/, '').trim();
    if (/^\|[\s|:-]*$/.test(bare)) {
      open = undefined;
    } else if (bare.startsWith('|')) {
      for (const cell of bare.split(/(?<!\\)\|/)) found.push({ line, text: cell.trim() });
      open = undefined;
    } else if (bare === '' || /^#{1,6} /.test(bare)) {
      open = undefined;
    } else if (open === undefined || /^(?:[-*]|\d+\.) /.test(bare)) {
      found.push((open = { line, text: bare }));
    } else {
      open.text += ` ${bare}`;
    }
  }
  return found;
}

/** What a reader sees of it. */
function shown(text) {
  return text.replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
}

function withoutCode(text) {
  return text.replace(/`[^`]*`/g, '');
}
