// npm test: the package in this Node, in a newer one, and in browsers.
//   node scripts/test.mjs [node|next|browser]...
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newerNode } from '../../scripts/newer-node.mjs'

const folder = fileURLToPath(new URL('..', import.meta.url))

const suites = {
  node: { node: () => process.execPath, files: (name) => !/^(browser|next)/.test(name) },
  next: { node: newerNode, files: (name) => !name.startsWith('browser') },
  browser: { node: () => process.execPath, files: (name) => name.startsWith('browser') },
}

const wanted = process.argv.slice(2)
for (const [name, suite] of Object.entries(suites)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const files = readdirSync(join(folder, 'test'))
    .filter((file) => file.endsWith('.test.mjs') && suite.files(file))
    .map((file) => join('test', file))
  const program = suite.node()
  console.error(`▸ ${name}: ${spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.trim()}`)
  const { status } = spawnSync(program, ['--test', '--test-reporter=spec', ...files], {
    cwd: folder,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
}
