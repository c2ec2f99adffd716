/*
 * Makes the list of what a user installs (CycloneDX, by `npm sbom`), and checks it: it has every package of the lock file that is not for
 * development, each with its checksum and a licence that allows what ours does, and none that wants to run a script as it is installed.
 * Writes it to the file in the first argument, if one is given.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LICENCES = new Set(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0']);
/** Does without: its script looks for a compiled decoder, and JavaScript does the work where there is none. */
const SCRIPTS_NOT_NEEDED = new Set(['msgpackr-extract']);

const read = (name) => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));
const { devDependencies: _tools, scripts: _scripts, ...manifest } = read('package.json');
const lock = read('package-lock.json');
delete lock.packages[''].devDependencies;
for (const [path, { dev }] of Object.entries(lock.packages)) if (dev === true) delete lock.packages[path];
const text = listOf();
const { bomFormat, components = [] } = JSON.parse(text);

const faults = [];
if (bomFormat !== 'CycloneDX') faults.push(`the format is ${bomFormat}, not CycloneDX`);
const listed = new Set(components.map(({ name, version }) => `${name}@${version}`));
for (const [path, { version, optional, devOptional, hasInstallScript }] of Object.entries(lock.packages)) {
  if (path === '') continue;
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  // What is optional may be for another system.
  if (optional !== true && devOptional !== true && !listed.has(`${name}@${version}`))
    faults.push(`${name}@${version} is not in it`);
  if (hasInstallScript === true && !SCRIPTS_NOT_NEEDED.has(name))
    faults.push(`${name}@${version} wants to run a script as it is installed: do without it, or say why it needs none`);
}
for (const { name, version, hashes = [], licenses = [] } of components) {
  if (hashes.length === 0) faults.push(`${name}@${version} has no checksum`);
  const ids = licenses.map(({ license, expression }) => license?.id ?? license?.name ?? expression);
  if (ids.length === 0 || !ids.every((id) => LICENCES.has(id)))
    faults.push(`${name}@${version} has the licence ${ids.join(', ') || 'unknown'}: look whether it may be used`);
}

for (const fault of faults) process.stderr.write(`sbom: ${fault}\n`);
const [, , file] = process.argv;
if (file !== undefined) writeFileSync(file, text);
process.stdout.write(`${components.length} packages, ${faults.length} faults\n`);
process.exitCode = faults.length === 0 && components.length > 0 ? 0 : 1;

/** Of a copy without tools: `npm sbom --omit dev` leaves out whatever a tool needs as well, zod for one. */
function listOf() {
  const folder = mkdtempSync(join(tmpdir(), 'certsweep-sbom-'));
  try {
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock));
    const args = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'];
    return execFileSync('npm', args, { cwd: folder, encoding: 'utf8' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
