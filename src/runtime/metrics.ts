/** Counters of a process in the text form that Prometheus reads. Names and labels are ours, hence never in need of escaping beyond quotes. */
export class Metrics {
  readonly #help = new Map<string, string>();
  readonly #counts = new Map<string, Map<string, number>>();

  /** Names a counter and says what it counts; without it the counter is not shown. */
  describe(name: string, help: string): void {
    this.#help.set(name, help);
    this.#counts.set(name, new Map());
  }

  add(name: string, labels: Readonly<Record<string, string>>, by = 1): void {
    const series = this.#counts.get(name);
    if (series === undefined) return;
    const key = keyOf(labels);
    series.set(key, (series.get(key) ?? 0) + by);
  }

  /** @param labels - all of the counter's, in the order in which they were added */
  value(name: string, labels: Readonly<Record<string, string>>): number {
    return this.#counts.get(name)?.get(keyOf(labels)) ?? 0;
  }

  /** The exposition, one line for each series. */
  text(): string {
    return [...this.#help]
      .map(([name, help]) => {
        const lines = [...(this.#counts.get(name) ?? [])].map(([labels, count]) => `${name}{${labels}} ${count}\n`);
        return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${lines.join('')}`;
      })
      .join('');
  }
}

function keyOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
    .join(',');
}
