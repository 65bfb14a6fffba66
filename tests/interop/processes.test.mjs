// Every listener against every dialer that speaks a transport, where one side is ours.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ask, failures, listen, missing, peers } from '../lib/peers.mjs'

const isOurs = (name) => name.startsWith('polypeer')
const all = Object.keys(peers)
const transports = {
  tcp: all,
  ws: all,
  // Of these alone: Node has no QUIC, and js-libp2p's is an addon.
  quic: ['go', 'rust', 'polypeer-native'],
  'webrtc-direct': all,
}
/** See ../peers/README.md. */
const listensOnly = (name, transport) => name === 'rust' && transport === 'webrtc-direct'

for (const [transport, names] of Object.entries(transports)) {
  for (const listener of names) {
    describe(`${listener} listens on ${transport}`, { skip: missing(listener) }, () => {
      let listening
      const start = () => {
        listening ??= listen(listener, transport)
        return listening
      }
      after(async () => (await listening)?.close())
      const dialers = names.filter((name) => !listensOnly(name, transport))
      for (const dialer of dialers.filter((name) => isOurs(name) || isOurs(listener))) {
        test(`${dialer} dials`, { skip: missing(dialer), timeout: 180_000 }, async () => {
          const { address } = await start()
          const report = await ask(dialer, 'dial', address, { agent: peers[listener].agent })
          assert.deepEqual(failures(report), [])
        })
      }
    })
  }
}
