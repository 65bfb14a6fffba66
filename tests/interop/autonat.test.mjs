// Who asks whether it can be dialed and who dials for it, where one of them is ours.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ask, failures, listen, missing } from '../lib/peers.mjs'

/** What each server answers on loopback, and to whom: with go-libp2p, only version 2. */
const pairs = [
  { server: 'polypeer-native', client: 'go', version: 1, which: ['open', 'closed'] },
  { server: 'polypeer-native', client: 'go', version: 2, which: ['open', 'closed', 'elsewhere'] },
  { server: 'go', client: 'polypeer-native', version: 2, which: ['open', 'closed', 'elsewhere'] },
  {
    server: 'polypeer-native',
    client: 'polypeer-native',
    version: 2,
    which: ['open', 'closed', 'elsewhere'],
  },
]

for (const { server, client, version, which } of pairs) {
  describe(`${client} asks ${server} by AutoNAT v${version}`, {
    skip: missing(server) ?? missing(client),
  }, () => {
    let serving
    const start = () => {
      serving ??= listen(server, 'tcp', { command: 'autonat-serve' })
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
