// npm run build: the program, the npm package (wasm and TypeScript) and the demo page.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { entry, heading, root, run, say, seconds } from './lib.mjs'
import { setup } from './setup.mjs'
import { wasmToolchain } from './wasm-toolchain.mjs'

/**
 * The program `polypeer`, and our own test peer. Not `polypeer-bindgen`: the package
 * builds it alone, and with others its dependencies would have other features, so
 * that they were built twice.
 */
async function buildPrograms(tests) {
  const names = ['polypeer-native', ...(tests ? ['polypeer-test-peer'] : [])]
  const packages = names.flatMap((name) => ['-p', name])
  await run('cargo', ['build', '--release', '--locked', ...packages], {
    title: `cargo build --release ${packages.join(' ')}`,
  })
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

/** `tests` builds our own test peer too. */
export async function build({ tests = false } = {}) {
  const start = performance.now()
  heading('Build')
  await buildPrograms(tests)
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
