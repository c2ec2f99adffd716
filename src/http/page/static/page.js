// All that the pages do by themselves: what is on them follows what is, charts are drawn, and buttons ask before something is done.
// The server makes every page as HTML; nothing is decided here.
'use strict';
(() => {
  const REFRESH_MS = 4_000;
  const CHARTS_MS = 10_000;
  const SAID_MS = 8_000;
  const find = (id) => document.getElementById(id);

  // What changes by itself.

  /** @param isFresh - what was just done must be seen */
  async function refresh(isFresh = false) {
    if (document.querySelector('[data-live]') === null) return;
    const answer = await fetch(isFresh ? location.href : (document.body.dataset.follow ?? location.href), {
      headers: { accept: 'text/html' },
      ...(isFresh && { cache: 'no-store' }),
    });
    if (answer.redirected && new URL(answer.url).pathname === document.body.dataset.login) location.assign(answer.url);
    if (!answer.ok) throw new Error(`the answer is ${answer.status}`);
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const region of document.querySelectorAll('[data-live]')) {
      const other = next.getElementById(region.id);
      // Also where nothing is new: what is there may be selected, or heard just now.
      if (other === null || other.innerHTML === region.innerHTML) continue;
      const focused = region.contains(document.activeElement) ? keyOf(document.activeElement) : undefined;
      region.replaceChildren(...[...other.childNodes].map((node) => document.adoptNode(node)));
      if (focused !== undefined) focusAgain(region, focused);
    }
  }

  function keyOf(element) {
    return element.id === '' ? (element.getAttribute('href') ?? '') : element.id;
  }

  function focusAgain(region, key) {
    const same = [...region.querySelectorAll('a, button')].find((element) => keyOf(element) === key);
    (same ?? find('main')).focus({ preventScroll: true });
  }

  async function follow() {
    try {
      if (!document.hidden && document.querySelector('dialog[open]') === null) await refresh();
      find('connection').hidden = true;
    } catch {
      find('connection').textContent = 'There is no answer now. What is shown may be old; this page tries again.';
      find('connection').hidden = false;
    }
    setTimeout(() => void follow(), REFRESH_MS);
  }

  function say(text) {
    const said = find('said');
    said.textContent = text;
    said.hidden = false;
    setTimeout(() => (said.hidden = true), SAID_MS);
  }

  // What is done.

  document.addEventListener('click', ({ target }) => {
    const button = target.closest('button');
    if (button === null) return;
    if (button.dataset.opens !== undefined) void open(find(button.dataset.opens));
    if (button.dataset.closes !== undefined) button.closest('dialog').close();
  });
  document.addEventListener('submit', (event) => {
    if (event.target.dataset.deed === undefined) return;
    event.preventDefault();
    void act(event.target);
  });
  // The button that opened it may have been replaced meanwhile.
  document.addEventListener(
    'close',
    ({ target: { id } }) => (find(`open-${id}`) ?? find('main')).focus({ preventScroll: true }),
    true,
  );

  async function open(dialog) {
    const form = dialog.querySelector('form');
    form.reset();
    show(form, undefined);
    dialog.showModal();
    if (form.dataset.counts === undefined) return;
    const counted = form.querySelector('[data-counted]');
    counted.textContent = 'Counting…';
    const { problem, body } = await send(form, {});
    if (problem !== undefined) show(form, problem);
    else
      counted.textContent = `${body.letters.toLocaleString('en-US')} ${plural(body.letters, 'dead letter')}.${leftAlone(body)}`;
  }

  async function act(form) {
    const button = form.querySelector('[type=submit]');
    const { reason, confirm } = Object.fromEntries(new FormData(form));
    button.disabled = true;
    const { problem, body } = await send(form, {
      ...(reason.trim() !== '' && { reason: reason.trim() }),
      ...(confirm !== undefined && { confirm: Number(confirm.replaceAll(/[, ]/g, '')) }),
    });
    button.disabled = false;
    if (problem !== undefined) {
      show(form, problem);
      return;
    }
    form.closest('dialog').close();
    say(`${form.dataset.done.replace('{letters}', body.letters?.toLocaleString('en-US'))}${leftAlone(body)}`);
    await refresh(true).catch(() => undefined);
  }

  /** Of dead letters; what is answered for a batch has other figures. */
  function leftAlone({ isDone, cancelled = 0, unknown = 0, refused = 0 }) {
    const left = cancelled + unknown + refused;
    return isDone !== undefined && left > 0 ? ` ${left} more cannot be retried so, and stay as they are.` : '';
  }

  /** To the API, as any program would. */
  async function send(form, typed) {
    try {
      const answer = await fetch(form.dataset.deed, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ ...JSON.parse(form.dataset.fixed), ...typed }),
      });
      const body = await answer.json();
      return answer.ok ? { body } : { problem: `${body.title}: ${body.detail} ${body.next ?? ''}` };
    } catch {
      return { problem: 'There was no answer. Reload the page before you do it again.' };
    }
  }

  function show(form, problem) {
    const fault = form.querySelector('.fault');
    fault.textContent = problem ?? '';
    fault.hidden = problem === undefined;
  }

  function plural(number, noun) {
    return number === 1 ? noun : `${noun}s`;
  }

  // Charts.

  const LINES = {
    pace: [
      { color: '--used', fill: '--used-fill', width: 1.5 },
      { color: '--in-force', width: 1.5 },
      { color: '--configured', width: 1, dash: [4, 4] },
    ],
    outcomes: ['--done', '--already', '--dead', '--cancelled'].map((color) => ({ color, fill: color, width: 0 })),
  };
  const plots = new Map();

  function colorOf(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  /** Outcomes stand on each other, the last one at the bottom of what is drawn first. */
  function stacked([times, ...lines]) {
    const sums = lines.map((line, at) =>
      line.map((_, x) => lines.slice(0, at + 1).reduce((sum, one) => sum + one[x], 0)),
    );
    return [times, ...sums.toReversed()];
  }

  /** Five minutes at least; those up to now where nothing is known. */
  function rangeOf(from, to) {
    return from === null || !(to - from >= 300) ? [to - 300, to] : [from, to];
  }

  function draw(figure, lines) {
    const place = figure.querySelector('.plot');
    const { kind, chart } = figure.dataset;
    const isStack = kind === 'outcomes';
    const data = isStack ? stacked(lines) : lines;
    const known = plots.get(chart);
    if (known !== undefined) {
      known.setData(data);
      return;
    }
    const axis = { stroke: colorOf('--faint'), grid: { stroke: colorOf('--line'), width: 1 }, ticks: { show: false } };
    const bars = isStack ? { paths: uPlot.paths.bars({ size: [0.95, 24] }), points: { show: false } } : {};
    const looks = isStack ? LINES[kind].toReversed() : LINES[kind];
    const options = {
      width: place.clientWidth,
      height: place.clientHeight,
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 22, 0, 0],
      scales: {
        x: { range: (_, from, to) => rangeOf(from, to ?? Date.now() / 1_000) },
        y: { range: (_, __, most) => [0, Math.max(1, most * 1.12)] },
      },
      axes: [
        {
          ...axis,
          size: 28,
          space: 60,
          incrs: [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400],
          values: (_, times) => times.map((at) => new Date(at * 1_000).toISOString().slice(11, 16)),
        },
        { ...axis, size: 44 },
      ],
      series: [
        {},
        ...looks.map(({ color, fill, width, dash }) => ({
          stroke: colorOf(color),
          width,
          ...(fill !== undefined && { fill: colorOf(fill) }),
          ...(dash !== undefined && { dash }),
          points: { show: false },
          ...bars,
        })),
      ],
    };
    plots.set(chart, new uPlot(options, data, place));
  }

  async function drawAll() {
    const place = document.querySelector('[data-charts]');
    if (place === null) return;
    try {
      if (!document.hidden) {
        const charts = await (await fetch(place.dataset.charts, { headers: { accept: 'application/json' } })).json();
        const figures = [...place.querySelectorAll('[data-chart]')];
        // A worker for another account has come.
        if (figures[0]?.dataset.kind !== 'outcomes' && Object.keys(charts).length !== figures.length) location.reload();
        for (const figure of figures) {
          const lines = charts[figure.dataset.chart];
          if (lines === undefined) continue;
          draw(figure, lines);
          for (const last of figure.querySelectorAll('[data-last]'))
            last.textContent = String(lines[last.dataset.last].at(-1) ?? '–');
        }
      }
    } catch {
      // The other loop says that there is no answer.
    }
    setTimeout(() => void drawAll(), CHARTS_MS);
  }

  function drawAgain() {
    const drawn = [...plots];
    plots.clear();
    for (const [name, plot] of drawn) {
      const figure = [...document.querySelectorAll('[data-chart]')].find(({ dataset }) => dataset.chart === name);
      const { data } = plot;
      plot.destroy();
      draw(figure, figure.dataset.kind === 'outcomes' ? unstacked(data) : data);
    }
  }

  function unstacked([times, ...sums]) {
    const lines = sums.toReversed();
    return [times, ...lines.map((line, at) => line.map((sum, x) => (at === 0 ? sum : sum - lines[at - 1][x])))];
  }

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAgain);
  let resized;
  addEventListener('resize', () => {
    clearTimeout(resized);
    resized = setTimeout(drawAgain, 150);
  });
  void drawAll();
  setTimeout(() => void follow(), REFRESH_MS);
})();
