// Builds the test peers of other implementations (tests/peers).
import { join } from 'node:path'
import { ask, Failure, inCi, isWindows, root, run, say } from './lib.mjs'

export async function buildPeers({ go = true } = {}) {
  const peers = join(root, 'tests/peers')
  await run('cargo', ['build', '--release', '--locked'], {
    cwd: join(peers, 'rust'),
    env: { CARGO_TARGET_DIR: process.env.PEERS_TARGET_DIR ?? join(peers, 'rust/target') },
    title: 'cargo build --release (tests/peers/rust: rust-libp2p)',
  })
  if (!go) return
  if (ask('go', ['version']).ok) {
    await run('go', ['build', '-o', `peer${isWindows ? '.exe' : ''}`, '.'], {
      cwd: join(peers, 'go'),
      title: 'go build (tests/peers/go: go-libp2p)',
    })
  } else if (inCi) throw new Failure('Go is missing: the tests against go-libp2p cannot run')
  else say('  - Go is not installed: the tests against go-libp2p are skipped')
}
