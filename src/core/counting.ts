/** 1234567 as 1,234,567. */
export function groupDigits(value: number): string {
  return value.toLocaleString('en-US');
}

/** 4,321 seconds as "1 h 12 min". */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const rest = minutes % 60;
  return rest === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
}

/** One of something, several of it: `count(1, 'item')`, `count(2, 'item')`. */
export function count(number: number, noun: string, nouns = `${noun}s`): string {
  return `${groupDigits(number)} ${number === 1 ? noun : nouns}`;
}
