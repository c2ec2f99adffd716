/** The middle one, of an even number the upper of the two; undefined where there is none. */
export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Of rows with the same names, the median of each number. */
export function medianOfEach(rows) {
  return Object.fromEntries(Object.keys(rows[0]).map((name) => [name, median(rows.map((row) => row[name]))]));
}
