// js-libp2p needs Node 22 or later: the one that runs this, if it is new enough,
// else the one that npm installed for the tests.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Failure, isExecutable, isWindows, root } from './lib.mjs'

export function newerNode() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath
  try {
    const manifest = createRequire(join(root, 'tests/package.json')).resolve(
      `node-${isWindows ? 'win' : process.platform}-${process.arch}/package.json`,
    )
    const program = join(manifest, '..', 'bin', isWindows ? 'node.exe' : 'node')
    if (isExecutable(program)) return program
  } catch {}
  throw new Failure(`js-libp2p needs Node 22 or later; this is ${process.versions.node}`)
}
