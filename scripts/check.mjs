// npm run check: formatting, lints, documentation, types, dependencies. Runs every
// check and names those that failed at the end; `-- --fix` repairs what tools can.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { buildPackage } from './build.mjs'
import { ask, crates, entry, Failure, green, heading, red, root, run, say, seconds } from './lib.mjs'
import { setup } from './setup.mjs'
import { findWasmToolchain, PAGES, WASI } from './wasm-toolchain.mjs'

const fix = process.argv.includes('--fix')
const strict = ['--', '-D', 'warnings']

const checks = [
  ['Rust formatting', () => run('cargo', ['fmt', '--all', ...(fix ? [] : ['--check'])])],
  [
    'Rust lints',
    () => run('cargo', ['clippy', '--workspace', '--all-targets', '--all-features', '--locked', ...strict]),
  ],
  [
    'Rust lints, core without its features',
    () => run('cargo', ['clippy', '-p', 'polypeer', '--no-default-features', '--locked', ...strict]),
  ],
  ['Rust lints, wasm32', lintWasm],
  [
    'Rust documentation',
    () =>
      run('cargo', ['doc', '--workspace', '--no-deps', '--all-features', '--locked'], {
        env: { RUSTDOCFLAGS: '-D warnings' },
      }),
  ],
  [
    'JavaScript lints and formatting',
    () =>
      run(process.execPath, [
        bin('@biomejs/biome/bin/biome'),
        ...(fix ? ['check', '--write'] : ['ci', '--error-on-warnings']),
        '.',
      ]),
  ],
  // An incomplete lock file passes `npm install` and fails the `npm ci` of the next machine.
  ['npm lock file', () => run('npm', ['ci', '--dry-run', '--no-audit', '--no-fund', '--loglevel=error'])],
  ['TypeScript', types],
  ['Dependencies: licences, advisories, sources', dependencies],
]

const bin = (path) => join(root, 'node_modules', path)

async function lintWasm() {
  // What Node runs asks for time and randomness by WASI, what pages run has none of it.
  const node = ['polypeer-webrtc', 'polypeer-rtc']
  const modules = crates().filter(({ targets }) => targets.some(({ kind }) => kind.includes('cdylib')))
  const pages = ['polypeer', ...modules.map(({ name }) => name).filter((name) => !node.includes(name))]
  for (const [target, names] of [
    [PAGES, pages],
    [WASI, node],
  ]) {
    if (findWasmToolchain(target)?.cargo !== 'cargo' || !ask('cargo', ['clippy', '--version']).ok) {
      say(`  - skipped: the toolchain for ${target} here comes without clippy`)
      continue
    }
    const packages = names.flatMap((name) => ['-p', name])
    await run('cargo', ['clippy', '--target', target, '--locked', ...packages, ...strict])
  }
}

async function types() {
  await buildPackage('js')
  for (const folder of ['js', 'www', 'tests']) {
    const project = join(root, folder, 'tsconfig.json')
    if (existsSync(project))
      await run(process.execPath, [bin('typescript/bin/tsc'), '--noEmit', '-p', project], {
        title: `tsc -p ${folder}`,
      })
  }
}

async function dependencies() {
  if (!ask('cargo', ['deny', '--version']).ok) {
    say('  - skipped: cargo-deny is not installed (cargo install --locked cargo-deny)')
    return
  }
  await run('cargo', ['deny', '--all-features', 'check', 'bans', 'licenses', 'sources'])
  if (ask('cargo', ['deny', 'fetch', 'db']).ok)
    await run('cargo', ['deny', '--all-features', 'check', 'advisories'])
  else say('  - advisories skipped: their database cannot be reached from here')
}

await entry(async () => {
  await setup()
  const failed = []
  for (const [title, check] of checks) {
    const since = performance.now()
    heading(title)
    try {
      await check()
      say(`${green('✓')} ${title} (${seconds(since)})`)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      say(`${red('✗')} ${title}: ${error.message}`)
      failed.push(title)
    }
  }
  if (failed.length > 0)
    throw new Failure(`${failed.length} of ${checks.length} checks failed: ${failed.join('; ')}`)
  say(`\n${green('✓')} all ${checks.length} checks passed`)
})
