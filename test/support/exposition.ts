/** One line of Prometheus' text form. */
interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What processes show, put together as a collector does. */
export class Exposition {
  readonly texts: readonly string[];
  readonly #samples: readonly Sample[];

  constructor(...texts: readonly string[]) {
    this.texts = texts;
    this.#samples = texts.flatMap(samplesOf);
  }

  /** The names of all series. */
  get names(): ReadonlySet<string> {
    return new Set(this.#samples.map(({ name }) => name));
  }

  /** Over all series of the name that have these labels; undefined where there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = this.#samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    );
    return found.length === 0 ? undefined : found.reduce((total, { value }) => total + value, 0);
  }

  /** Every label and value that any series has. */
  get labels(): ReadonlyMap<string, ReadonlySet<string>> {
    const all = new Map<string, Set<string>>();
    for (const { labels } of this.#samples) {
      for (const [label, value] of Object.entries(labels)) {
        const values = all.get(label) ?? new Set();
        all.set(label, values.add(value));
      }
    }
    return all;
  }
}

/** Asks once. @throws where the answer is not the text form */
export async function scrape(url: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const answer = await fetch(url, { headers });
  const text = await answer.text();
  const type = answer.headers.get('content-type') ?? '';
  if (answer.status !== 200 || !type.startsWith('text/plain; version=0.0.4')) {
    throw new Error(`${answer.status} ${type}: ${text}`);
  }
  return text;
}

function samplesOf(text: string): Sample[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [, name = '', braces = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === '') throw new Error(`no sample: ${line}`);
    const labels = [...braces.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text_ = '']) => [
      label,
      text_,
    ]);
    return {
      name,
      labels: Object.fromEntries(labels) as Record<string, string>,
      value: Number(value.replace('+Inf', 'Infinity')),
    };
  });
}
