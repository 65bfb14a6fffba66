// npm run size [-- --json]: bytes of the wasm and JavaScript of a page, raw and compressed.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { buildPackage } from './build.mjs'
import { entry, Failure, root } from './lib.mjs'
import { setup } from './setup.mjs'

await entry(async () => {
  await setup()
  await buildPackage('js')
  const { status } = spawnSync(process.execPath, ['scripts/size.mjs', ...process.argv.slice(2)], {
    cwd: join(root, 'js'),
    stdio: 'inherit',
  })
  if (status !== 0) throw new Failure('the sizes could not be measured')
})
