// npm run build: the program, the npm package (wasm and TypeScript) and the demo page.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { crates, entry, heading, root, run, say, seconds } from './lib.mjs'
import { setup } from './setup.mjs'
import { wasmToolchain } from './wasm-toolchain.mjs'

/** The program `polypeer` and every other binary that the JavaScript side needs. */
export async function buildPrograms() {
  const names = crates()
    .filter((crate) => crate.targets.some((target) => target.kind.includes('bin')))
    .flatMap((crate) => ['-p', crate.name])
  if (names.length === 0) return
  await run('cargo', ['build', '--release', '--locked', ...names], { title: 'cargo build --release' })
}

/** What the package `js` and the page `www` say under "build" in their package.json. */
export async function buildPackage(folder) {
  if (!existsSync(join(root, folder, 'package.json'))) {
    say(`  - ${folder} is not there yet`)
    return
  }
  const { cargo, env } = await wasmToolchain()
  await run('npm', ['run', 'build', '--silent', '--if-present'], {
    cwd: join(root, folder),
    env: { ...env, CARGO: cargo },
    title: `npm run build (${folder})`,
  })
}

export async function build() {
  const start = performance.now()
  heading('Build')
  await buildPrograms()
  await buildPackage('js')
  await buildPackage('www')
  say(`  built in ${seconds(start)}`)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await entry(async () => {
    await setup()
    await build()
  })
}
