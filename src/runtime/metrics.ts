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
    const key = Object.entries(labels)
      .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
      .join(',');
    series.set(key, (series.get(key) ?? 0) + by);
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
