// Who asks whether it can be dialed and who dials for it, where one of them is ours.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ask, failures, listen, missing } from '../lib/peers.mjs'

const ALL = ['open', 'closed', 'elsewhere']
/** Version 1 dials only where it sees who asks. */
const NEAR = ['open', 'closed']

/** What each server answers on loopback, and to whom: go-libp2p, only version 2. */
const pairs = [
  { server: 'polypeer-native', client: 'go', version: 1, which: NEAR },
  { server: 'polypeer-native', client: 'go', version: 2, which: ALL },
  { server: 'polypeer-native', client: 'rust', version: 1, which: NEAR },
  { server: 'polypeer-native', client: 'rust', version: 2, which: ALL },
  { server: 'polypeer-native', client: 'polypeer-native', version: 2, which: ALL },
  { server: 'polypeer-node', client: 'go', version: 1, which: NEAR },
  { server: 'polypeer-node', client: 'go', version: 2, which: ALL },
  { server: 'polypeer-node', client: 'rust', version: 2, which: ALL },
  { server: 'polypeer-node', client: 'polypeer-native', version: 2, which: ALL },
  { server: 'go', client: 'polypeer-native', version: 2, which: ALL },
  { server: 'rust', client: 'polypeer-native', version: 1, which: NEAR },
  { server: 'rust', client: 'polypeer-native', version: 2, which: ALL },
]

for (const { server, client, version, which } of pairs) {
  describe(`${client} asks ${server} by AutoNAT v${version}`, {
    skip: missing(server) ?? missing(client),
  }, () => {
    let serving
    const start = () => {
      serving ??= listen(server, 'tcp', { command: 'autonat-serve', version })
      return serving
    }
    after(async () => (await serving)?.close())
    for (const address of which) {
      test(`for an address that is ${address}`, { timeout: 120_000 }, async () => {
        const report = await ask(client, 'autonat-ask', (await start()).address, { version, which: address })
        assert.deepEqual(failures(report), [])
      })
    }
  })
}
