/** What we use of a copy of the package `debug`. */
export interface DebugSwitch {
  enabled(namespace: string): boolean;
  /** Turns everything off and answers with what was on. */
  disable(): string;
  enable(namespaces: string): void;
}

/**
 * Takes a library that prints secrets out of `DEBUG`; what else DEBUG names stays on.
 * @param library - the first word of its namespaces
 * @param namespaces - some that print secrets: it is on when one of them is
 */
export function hush(debug: DebugSwitch, library: string, namespaces: readonly string[]): void {
  if (namespaces.some((name) => debug.enabled(`${library}:${name}`))) debug.enable(`${debug.disable()},-${library}:*`);
}
