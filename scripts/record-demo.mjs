// npm run docs:demo: runs `certsweep demo` for real and draws its last screen as docs/demo.svg.
//
// How: `script` of util-linux gives the built command a pseudo-terminal of 112 columns and passes on all that it writes. The few control
// sequences that certsweep uses (carriage return, erase line, colours) are applied to a list of lines, and each line becomes one <text>.
// Long lines are wrapped as a terminal wraps them. Nothing is edited: what the picture shows is what the run printed.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const COLUMNS = 112;
const ROWS = 60;
const PROMPT = '$ npm run demo';
const TARGET = 'docs/demo.svg';

const folder = mkdtempSync(join(tmpdir(), 'certsweep-recording-'));
try {
  const command = `stty cols ${COLUMNS} rows ${ROWS}; exec '${process.execPath}' '${resolve('dist/cli/main.js')}' demo`;
  const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  if (status !== 0) throw new Error(`the demo ended with ${status}:\n${stdout}`);
  const lines = [PROMPT, ...screen(stdout)];
  const svg = draw(lines);
  writeFileSync(TARGET, svg);
  console.log(`${TARGET}: ${lines.length} lines, ${svg.length} bytes`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The lines that a terminal shows after all of this. */
function screen(output) {
  const lines = output.split('\n').map((line) => {
    let shown = '';
    for (const part of line.replace(/\r+$/, '').split('\r')) {
      const erased = part.lastIndexOf('\u001B[2K');
      const text = erased < 0 ? part : part.slice(erased);
      const plain = stripVTControlCharacters(text);
      shown = erased < 0 ? plain + shown.slice(plain.length) : plain;
    }
    return shown;
  });
  while (lines.at(-1) === '') lines.pop();
  return lines.flatMap(wrap);
}

function wrap(line) {
  if (line.length <= COLUMNS) return [line];
  return [line.slice(0, COLUMNS), ...wrap(line.slice(COLUMNS))];
}

function draw(lines) {
  const [charWidth, lineHeight, margin, bar] = [7.8, 18, 16, 28];
  const width = Math.ceil(COLUMNS * charWidth + 2 * margin);
  const height = bar + lines.length * lineHeight + 2 * margin;
  const rows = lines.map((line, at) => {
    const y = bar + margin + at * lineHeight + 13;
    return line === '' ? '' : `<text x="${margin}" y="${y}"${styleOf(line)}>${escape(line)}</text>\n`;
  });
  const dots = ['#ff5f56', '#ffbd2e', '#27c93f'].map((fill, at) => {
    return `<circle cx="${margin + 6 + at * 18}" cy="16" r="5" fill="${fill}"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" xml:space="preserve">
<title>A run of certsweep demo</title>
<style>text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px;fill:#d6deeb;white-space:pre}.p{fill:#7fdbca;font-weight:bold}.s{fill:#82aaff}.o{fill:#addb67}</style>
<rect width="100%" height="100%" rx="8" fill="#0b1622"/>
${dots.join('')}
${rows.join('')}</svg>
`;
}

/** Colours help to find one's way in the picture; the command itself prints none here. */
function styleOf(line) {
  if (line === PROMPT) return ' class="p"';
  if (/^\d\/6 /.test(line)) return ' class="s"';
  return /^ {2}ok {2}|^\[#+\]/.test(line) ? ' class="o"' : '';
}

function escape(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
