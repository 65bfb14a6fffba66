// From a connection through our relay to a direct one, where one of the two is ours.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ask, listen, missing } from '../lib/peers.mjs'

const relay = 'polypeer-native'
const names = ['go', 'rust', 'polypeer-native']
const isOurs = (name) => name.startsWith('polypeer')

describe('hole punching', { skip: missing(relay) }, () => {
  for (const hidden of names) {
    for (const visitor of names.filter((name) => isOurs(name) || isOurs(hidden))) {
      const skip = missing(hidden) ?? missing(visitor)
      // The one that was dialed through the relay begins.
      test(`${hidden} begins, ${visitor} answers`, { skip, timeout: 180_000 }, async () => {
        const started = [await listen(relay, 'tcp', { command: 'relay' })]
        try {
          started.push(await listen(hidden, 'tcp', { command: 'punch', at: started[0].address }))
          const { address } = started[1]
          assert.match(address, /p2p-circuit/)
          const report = await ask(visitor, 'upgrade', address)
          assert.ok(report.ok, report.detail)
          assert.doesNotMatch(report.direct, /p2p-circuit/)
        } finally {
          for (const one of started.reverse()) await one.close()
        }
      })
    }
  }
})
