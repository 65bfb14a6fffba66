// npm run build: the WebAssembly modules with their bindings, then the TypeScript.
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { entry, run } from '../../scripts/lib.mjs'
import { buildWasi, buildWasm } from '../../scripts/wasm.mjs'

const folder = fileURLToPath(new URL('..', import.meta.url))
const typescript = createRequire(import.meta.url).resolve('typescript/package.json')

await entry(async () => {
  if (!process.argv.includes('--types-only')) {
    const module = { crate: 'polypeer-js', out: join(folder, 'generated') }
    // Those of pages are small, that of Node has more in it and is fast.
    await buildWasm({ ...module, name: 'mini', defaultFeatures: false, features: ['small'] })
    await buildWasm({ ...module, name: 'core', defaultFeatures: false, features: ['small', 'full'] })
    await buildWasm({ ...module, name: 'node', profile: 'node' })
    await buildWasi({ crate: 'polypeer-rtc', out: module.out, name: 'rtc' })
  }
  rmSync(join(folder, 'dist'), { recursive: true, force: true })
  await run(process.execPath, [join(typescript, '../bin/tsc'), '-p', folder], { cwd: folder, title: 'tsc' })
})
