// Charts as plain SVG. Text and lines take the reader's light or dark colours; the fills are legible on both.
const STYLE = `<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 14px; font-weight: 600 }
.quiet { fill: #59636e }
.grid { stroke: #d1d9e0; fill: none }
.mark { stroke: #d1242f; stroke-dasharray: 4 3; fill: none }
.mark-text { fill: #d1242f }
.ours { font-weight: 600 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.quiet { fill: #9198a1 }
.grid { stroke: #3d444d }
.mark { stroke: #f85149 }
.mark-text { fill: #f85149 }
}
</style>`;
const FILLS = ['#8ab4f8', '#4c8bf5', '#2f6bd8', '#1d4fa8'];
const LINES = ['#4c8bf5', '#d4833b', '#3f9c5a'];
const WIDTH = 760;
const LEFT = 230;
const RIGHT = 60;
const BAR = 11;
const GAP = 14;
const TOP = 54;

/**
 * Horizontal bars, one group for each label.
 * @param groups - `{label, isOurs, values}`, a value for each of the series or undefined where there is none
 * @param mark - a limit to draw across: `{value, label}`
 */
export function barChart({ title, series, groups, mark, digits = 0 }) {
  const most = Math.max(mark?.value ?? 0, ...groups.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const scale = (WIDTH - LEFT - RIGHT) / (most * 1.02);
  const height = TOP + groups.reduce((sum, { values }) => sum + values.length * BAR + GAP, 0) + 24;
  const parts = [text(0, 18, title, 'title'), ...legend(series, FILLS)];
  let y = TOP;
  for (const { label, isOurs, values } of groups) {
    const middle = y + (values.length * BAR) / 2 + 4;
    parts.push(text(LEFT - 10, middle, label, isOurs ? 'ours' : '', 'end'));
    values.forEach((value, index) => {
      const top = y + index * BAR;
      if (value === undefined) return;
      parts.push(
        `<rect x="${LEFT}" y="${top}" width="${round(value * scale)}" height="${BAR - 1}" fill="${FILLS[index % FILLS.length]}"/>`,
        text(LEFT + value * scale + 4, top + BAR - 2, value.toFixed(digits), 'quiet'),
      );
    });
    y += values.length * BAR + GAP;
  }
  if (mark !== undefined) {
    const x = round(LEFT + mark.value * scale);
    parts.push(`<path class="mark" d="M${x} ${TOP - 6}V${y}"/>`, text(x, y + 14, mark.label, 'mark-text', 'middle'));
  }
  return svg(title, height, parts);
}

/**
 * Lines over a logarithmic x axis, one small plot beside the other.
 * @param plots - `{title, xs, lines: [{name, values}], isLog}`; `isLog` takes the y axis as logarithmic too
 */
export function plotRow({ title, plots }) {
  const height = 300;
  const room = WIDTH / plots.length;
  const parts = [text(0, 18, title, 'title')];
  plots.forEach((plot, index) => parts.push(...drawPlot(plot, index * room + 46, room - 70)));
  return svg(title, height, parts);
}

function drawPlot({ title, xs, lines, isLog = false }, left, width) {
  const top = 84;
  const bottom = 260;
  const all = lines.flatMap(({ values }) => values).filter((value) => value !== undefined);
  const [low, high] = isLog ? [Math.min(...all), Math.max(...all)].map(Math.log10) : [0, Math.max(...all) * 1.2];
  const xOf = (x) => left + ((Math.log10(x) - Math.log10(xs[0])) / Math.log10(xs.at(-1) / xs[0])) * width;
  const yOf = (y) => bottom - (((isLog ? Math.log10(y) : y) - low) / (high - low || 1)) * (bottom - top);
  const parts = [
    text(left - 36, 40, title),
    `<path class="grid" d="M${left} ${top}V${bottom}H${round(left + width)}"/>`,
  ];
  for (const x of xs)
    parts.push(text(xOf(x), bottom + 16, `10${superscript(Math.round(Math.log10(x)))}`, 'quiet', 'middle'));
  for (const share of [0, 0.5, 1]) {
    const value = low + (high - low) * share;
    parts.push(text(left - 4, bottom - (bottom - top) * share + 4, brief(isLog ? 10 ** value : value), 'quiet', 'end'));
  }
  lines.forEach(({ name, values }, index) => {
    const points = xs.flatMap((x, at) => (values[at] === undefined ? [] : [[round(xOf(x)), round(yOf(values[at]))]]));
    const colour = LINES[index % LINES.length];
    parts.push(
      `<polyline points="${points.map((point) => point.join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...points.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3" fill="${colour}"/>`),
      `<rect x="${left - 36}" y="${49 + index * 15}" width="9" height="9" fill="${colour}"/>`,
      text(left - 22, 58 + index * 15, name, 'quiet'),
    );
  });
  return parts;
}

function legend(series, fills) {
  return series.flatMap((name, index) => [
    `<rect x="${LEFT + index * 110}" y="28" width="10" height="10" fill="${fills[index % fills.length]}"/>`,
    text(LEFT + index * 110 + 15, 37, name, 'quiet'),
  ]);
}

function svg(title, height, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">
${STYLE}
${parts.join('\n')}
</svg>
`;
}

function text(x, y, content, kind = '', anchor = 'start') {
  return `<text x="${round(x)}" y="${round(y)}"${kind && ` class="${kind}"`} text-anchor="${anchor}">${escape(content)}</text>`;
}

const escape = (content) => String(content).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
const round = (value) => Math.round(value * 10) / 10;
const superscript = (exponent) => String(exponent).replaceAll(/\d/g, (digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]);
const brief = (value) => (value >= 100 ? Math.round(value).toString() : Number(value.toPrecision(2)).toString());
