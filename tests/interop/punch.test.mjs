// From a connection through our relay to a direct one, where one of the two is ours.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ask, listen, missing } from '../lib/peers.mjs'

const relay = 'polypeer-native'
const names = ['go', 'rust', 'polypeer-native']
const isOurs = (name) => name.startsWith('polypeer')
/** Where both listen. */
const places = { tcp: '/ip4/127.0.0.1/tcp/0', quic: '/ip4/127.0.0.1/udp/0/quic-v1' }

for (const [transport, place] of Object.entries(places)) {
  describe(`hole punching over ${transport}`, { skip: missing(relay) }, () => {
    for (const hidden of names) {
      for (const visitor of names.filter((name) => isOurs(name) || isOurs(hidden))) {
        const skip = missing(hidden) ?? missing(visitor)
        // The one that was dialed through the relay begins.
        test(`${hidden} begins, ${visitor} answers`, { skip, timeout: 180_000 }, async () => {
          const started = [await listen(relay, transport, { command: 'relay' })]
          try {
            const { address: at } = started[0]
            started.push(await listen(hidden, transport, { command: 'punch', at, place }))
            const { address } = started[1]
            assert.match(address, /p2p-circuit/)
            const report = await ask(visitor, 'upgrade', address, { at: place })
            assert.ok(report.ok, report.detail)
            assert.doesNotMatch(report.direct, /p2p-circuit/)
            assert.equal(report.direct.includes('/quic-v1'), transport === 'quic', report.direct)
          } finally {
            for (const one of started.reverse()) await one.close()
          }
        })
      }
    }
  })
}
